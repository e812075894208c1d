import type { Connection } from '../connection/connection.ts'
import { connectCauseOf } from '../errors.ts'
import type { Host } from '../options/hosts.ts'
import { severityOf } from '../policy/classify-error.ts'
import { codeOf } from '../thrown.ts'

/** A replica that has answered nothing in so many looks in a row is given up. */
const LOOKS = 3

/**
 * Replicas that answer nothing. The watch over statements can't tell a server that hangs from a network that swallows all, and
 * leaves what runs there alone, since it may write. On a replica nothing does, so its callers need not wait.
 */
export class SilentHosts {
  readonly #looks = new Map<Host, number>()
  readonly #bytes = new WeakMap<Connection, number | undefined>()

  /** A host was looked at, with this failure if there was one. Loses what runs there without a byte since the last look. */
  note(host: Host, failure: unknown, connections: readonly Connection[]): void {
    if (!isSilence(failure)) return void this.#looks.delete(host)
    const looks = (this.#looks.get(host) ?? 0) + 1
    this.#looks.set(host, looks)
    for (const connection of connections) {
      if (connection.candidate?.host !== host || !connection.is('leased') || connection.inSync) continue
      const { bytesRead } = connection.session.traffic
      const isSilent = bytesRead !== undefined && this.#bytes.get(connection) === bytesRead
      this.#bytes.set(connection, bytesRead)
      if (looks >= LOOKS && isSilent) connection.markLost(silent(), 'own', true)
    }
  }
}

/** Neither an answer, nor a refusal. */
function isSilence(failure: unknown): boolean {
  if (failure === undefined || severityOf(failure) !== undefined) return false
  const code = codeOf(connectCauseOf(failure))
  return code === undefined || code === 'ETIMEDOUT'
}

function silent(): Error {
  return Object.assign(new Error('The replica answers nothing, and has been asked several times'), { code: '08006' })
}
