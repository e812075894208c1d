import type { AsyncResource } from 'node:async_hooks'
import { toError } from '../thrown.ts'

/** A function of the user's that returns the password. */
export type Password = (this: unknown, ...args: unknown[]) => string | Promise<string>

/** The password function for one login. The driver calls it in the context of the socket; this runs it in the opener's. */
export function passwordFor(opener: AsyncResource | undefined, password: Password): Password {
  const ask = rejectWithErrors(password)
  if (!opener) return ask
  return function (this: unknown, ...args) {
    return opener.runInAsyncScope(ask, this, ...args)
  }
}

/** The driver takes a rejection with `undefined` for success, and goes on without a password. */
function rejectWithErrors(password: Password): Password {
  return async function (this: unknown, ...args) {
    try {
      return await password.apply(this, args)
    } catch (error) {
      throw toError(error)
    }
  }
}
