import { Client, type ClientConfig } from 'pg'
import { OptionsError } from '../errors.ts'
import { systemClock } from '../runtime/clock.ts'
import { type Connecting, connectInAnyWay, type LoginKnown } from './connecting.ts'

/** A class that is no client: it has no `query`. */
export type ForeignClass = new (config: ClientConfig) => Connecting & { end?(): unknown; on?: unknown }

/** Whether a class is no client at all, and not just a client that lacks a part. */
export function isForeign(base: { readonly prototype: object }): boolean {
  return !('query' in base.prototype)
}

/**
 * A client class in place of one that is no client. Its `connect` always rejects: with the error of the other's `connect`, or,
 * if that succeeds, with an error that says that the class can't be used.
 */
export function standInClient(Foreign: ForeignClass): typeof Client {
  return class StandIn extends Client {
    readonly #config: ClientConfig

    constructor(config: ClientConfig) {
      super(config)
      this.#config = config
    }

    // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client.
    override connect(callback?: any): any {
      const refused = this.#refuse()
      return callback ? void refused.catch((error: unknown) => callback(error)) : refused
    }

    async #refuse(): Promise<never> {
      const foreign = new Foreign(this.#config)
      await connectInAnyWay(foreign, ANY_LOGIN)
      await foreign.end?.()
      throw new OptionsError(['`Client` must be a client class of pg, or be derived from it: this one has no `query`.'])
    }
  }
}

/** Only the class itself reports its login. */
const ANY_LOGIN: LoginKnown = { clock: systemClock, patienceMillis: 0, isDone: () => true, onDone: () => {} }
