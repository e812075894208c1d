import type { OwnOptions } from '../options/pool-options.ts'
import { type FoundPooler, type PoolerKind, type SessionNeed, sessionNeedOf } from '../policy/pooler.ts'
import { isOfPooler } from '../policy/pooler-words.ts'

/** Who is told what is found out. */
export interface PoolerListener {
  onFound(found: FoundPooler): void
  /** Something needs a session of its own, where each transaction gets another one. Called once for each need. */
  onNeed(need: SessionNeed): void
}

/**
 * What is known of a pooler between the pool and its server, shared by the connections of a pool. A process that isn't the one that
 * the login named is proof, whatever the option `pooler` says; where a pooler was given, nothing proves that there is none.
 */
export class KnownPooler {
  readonly #option: NonNullable<OwnOptions['pooler']>
  readonly #needs = new Set<SessionNeed>()
  #kind: PoolerKind
  /** Told what is found out from now on. */
  listener: PoolerListener | undefined

  constructor(option: NonNullable<OwnOptions['pooler']> = 'auto') {
    this.#option = option
    this.#kind = option === 'auto' ? 'unknown' : option
  }

  get kind(): PoolerKind {
    return this.#kind
  }

  /** Whether one is known to be in front. */
  get isThere(): boolean {
    return this.#kind !== 'unknown' && this.#kind !== 'none'
  }

  /** Whether it is known to give each transaction another session. */
  get isPerTransaction(): boolean {
    return this.#kind === 'transaction'
  }

  /** Whether sessions lead straight to the server; undefined if each must show that by itself. `own`: what one has shown. */
  isDirect(own: boolean | undefined): boolean | undefined {
    const isGiven = this.#option === 'session' || this.#option === 'transaction'
    if (isGiven || own === false) return false
    if (own !== undefined) return own
    if (this.isThere) return false
    return this.#option === 'none' ? true : undefined
  }

  /** A session was asked which process serves it: whether that is the one that the login named. */
  served(isDirect: boolean): void {
    if (!isDirect) this.#find('some', 'process')
    else if (this.#kind === 'unknown') this.#kind = 'none'
  }

  /** Another process serves a session than before. */
  moved(): void {
    this.#find('transaction', 'process')
  }

  /** A session has ended, or a login was refused, with this error. */
  ended(error: unknown): void {
    if (isOfPooler(error)) this.#find('some', 'words')
  }

  /** A statement is about to be sent, where each transaction gets another session. */
  sends(text: string): void {
    const need = sessionNeedOf(text)
    if (need) this.needs(need)
  }

  /** Something needs a session of its own. */
  needs(need: SessionNeed): void {
    if (this.#needs.has(need)) return
    this.#needs.add(need)
    this.listener?.onNeed(need)
  }

  #find(pooler: FoundPooler['pooler'], by: FoundPooler['by']): void {
    if (this.#kind === 'transaction' || (pooler === 'some' && this.isThere)) return
    this.#kind = pooler
    this.listener?.onFound({ pooler, by, option: this.#option })
  }
}
