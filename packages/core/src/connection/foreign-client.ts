import { Client, type ClientConfig } from 'pg'
import { OptionsError } from '../errors.ts'
import { systemClock } from '../runtime/clock.ts'
import { type Connecting, connectInAnyWay, type LoginKnown } from './connecting.ts'

/** A class that can't serve statements: it has not even `query`. */
export type ForeignClass = new (config: ClientConfig) => Connecting & { end?(): unknown; on?: unknown }

/** Whether a class is no client at all, as opposed to one that lacks some part. */
export function isForeign(base: { readonly prototype: object }): boolean {
  return !('query' in base.prototype)
}

/**
 * A client class that stands in for one that is none. Whatever that one has to say when it is asked to connect is the error
 * of each connection; if it connects, that it can't be used.
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

/** Nothing is known of it but what the class tells. */
const ANY_LOGIN: LoginKnown = { clock: systemClock, patienceMillis: 0, isDone: () => true, onDone: () => {} }
