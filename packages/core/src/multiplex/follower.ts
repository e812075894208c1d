import type { AsyncResource } from 'node:async_hooks'
import type { QueryResult } from 'pg'
import type { Connection } from '../connection/connection.ts'
import { FOLLOW, type FollowedClient, type LeasedClient } from '../connection/physical-client.ts'
import { isSubmittable } from '../connection/query-arguments.ts'
import { isConnectionLost } from '../policy/classify-error.ts'
import { factsOf } from '../policy/sqlstate.ts'
import type { LeaseSource, NextLease } from '../rerun/lease-move.ts'
import { type Call, STALLED } from '../rerun/read-again.ts'
import { type AloneReason, Reruns } from '../rerun/reruns.ts'
import { inContext, markForAnyContext, thisContext } from '../runtime/context.ts'
import { codeOf, propertyOf, toError } from '../thrown.ts'
import type { SharedText } from './shared-texts.ts'

/** duplicate_prepared_statement */
const NAME_TAKEN = '42P05'

/** Whether a statement has a form in which it could be sent behind others: all at once, and answered at once. */
export function isSharable(query: unknown): boolean {
  if (typeof query === 'string') return true
  if (isSubmittable(query) || typeof propertyOf(query, 'text') !== 'string') return false
  return !propertyOf(query, 'rows') && propertyOf(query, 'retryRead') !== false
}

/**
 * Whether a statement that shared a connection may have failed because of that: of a prepared statement that has become stale,
 * which is not prepared again while others are in flight. Alone, it is. An error has written nothing.
 */
export function isStale(error: Error): boolean {
  const code = codeOf(error)
  return code === NAME_TAKEN || factsOf(code).stale !== undefined
}

/** A statement that its caller waits for. */
export interface FollowingCall extends Call, NextLease {
  /** Its runs after the first one; undefined until there is one. */
  reruns: Reruns | undefined
  /** What is known of its text. */
  readonly known: SharedText | undefined
  /** Whether its connection was lost while another one was in front. */
  readonly wasBehindLost: boolean
  /** Whether it may be answered in any async context. */
  readonly mayAnswerInAnyContext: boolean
  /** Tells its caller, unless it was told. */
  tell(error: Error | undefined, result?: QueryResult): void
  release(connection: Connection): void
}

/**
 * The run of a statement behind others. If those take long, a read runs on another connection as well, and the first answer
 * counts. If it fails because of them, it runs again.
 */
export class Follower {
  readonly #call: FollowingCall
  readonly #source: LeaseSource
  readonly #context: AsyncResource | undefined
  /** When its caller asked for it. */
  readonly askedAt: number
  /** Whether it is in flight, and whether its caller is about to be told. */
  #isInFlight = true
  #isDone = false
  /** Why it runs again, alone, if it may have failed because of others. */
  #whyAlone: AloneReason | undefined
  /** Why it has failed, if another run goes on. */
  failure: Error | undefined = undefined

  constructor(call: FollowingCall, source: LeaseSource, askedAt: number) {
    this.#call = call
    this.#source = source
    this.askedAt = askedAt
    if (!call.mayAnswerInAnyContext) this.#context = thisContext()
  }

  /** Whether its caller needs no other run. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** Sends it. */
  start(connection: Connection): void {
    const { query, values } = this.#call
    const answered = (error: Error | null, result?: QueryResult): void => this.#answered(error, result)
    if (!this.#context) markForAnyContext(answered)
    try {
      const client = connection.client as LeasedClient & FollowedClient
      client[FOLLOW](query as string, values, answered, (error) => this.#ended(connection, error))
    } catch (error) {
      process.nextTick(() => this.#call.tell((error as Error) || toError(error)))
    }
  }

  /** Those in front take too long. */
  runElsewhere(): void {
    const call = this.#call
    if (!this.#isInFlight || call.reruns) return
    call.reruns = new Reruns(call, this.#source)
    call.reruns.readElsewhere(STALLED)
    if (inContext(this.#context, () => this.#requeue()) !== undefined) call.reruns = undefined
  }

  /**
   * The run elsewhere has found out nothing. Returns whether another one may still tell: this one, which may then run elsewhere
   * again, or, if this one was lost meanwhile, the one that follows from that.
   */
  takeOver(): boolean {
    const { failure } = this
    if (this.#isInFlight || failure) this.#call.reruns = undefined
    if (!failure || this.#isInFlight) return this.#isInFlight
    if (!this.#runsAgain(failure)) return false
    this.failure = undefined
    return true
  }

  /** It was answered, or has failed. Noted before the release, which may serve its run elsewhere. */
  #ended(connection: Connection, error: Error | undefined): void {
    this.#isInFlight = false
    if (error && connection.cancellation.hasMadeWay(error)) this.#whyAlone = 'gave-way'
    else if (error && isStale(error)) this.#whyAlone = 'stale-session'
    this.#isDone = !connection.isLost && !this.#whyAlone
    this.#call.release(connection)
  }

  #answered(error: Error | null, result: QueryResult | undefined): void {
    if (!error || !this.#runsAgain(error)) this.#call.tell(error ?? undefined, result)
  }

  /** Whether another run tells, or one that is under way. */
  #runsAgain(error: Error): boolean {
    const whyAlone = this.#whyAlone
    if (this.#isInFlight || !(whyAlone || isConnectionLost(error))) return false
    const call = this.#call
    if (call.reruns) {
      this.failure = error
      return true
    }
    call.reruns = new Reruns(call, this.#source)
    if (whyAlone) call.reruns.runAlone(whyAlone, error)
    else if (call.wasBehindLost && call.known?.kind === 'read') call.reruns.readElsewhere(error)
    // The loss may be to blame on the one in front, which took too long. This one didn't.
    else if (call.wasBehindLost && isConnectionLost(error) && error.statementOutcome === 'never-ran')
      call.reruns.runAlone('never-ran', error)
    else if (!call.reruns.afterError(error)) return false
    const whyNot = this.#requeue()
    if (whyNot === undefined) return true
    call.reruns.refuse(error, whyNot)
    return false
  }

  /** Waits for another connection. Returns why there is none; undefined if it waits. */
  #requeue(): string | undefined {
    return this.#source.reacquire(this.#call, this.askedAt)
  }
}
