import pRetry from 'p-retry'
import type { Connection } from '../connection/connection.ts'
import type { Connector } from '../connection/connector.ts'
import { ask } from '../connection/exchange.ts'
import { ConnectError, codeOf, messageOf } from '../errors.ts'
import { mayConnectAgain } from '../policy/classify-error.ts'
import {
  type CommitVerdict,
  endSession,
  fence,
  judge,
  readServer,
  type ServerIdentity,
  type TransactionIdentity,
  type TransactionStatusThere,
  WHO_ARE_YOU,
  type Witness,
  whatBecameOf,
  whereIs,
} from '../policy/commit-outcome.ts'
import type { Clock, KeepsAlive } from '../runtime/clock.ts'
import { outOfScope } from '../runtime/scope.ts'

const ANSWER_MILLIS = 5000
/** How long a session may go on with a COMMIT whose client is gone, before it is fenced. */
const GRACE_MILLIS = 250
const FUTURE = '22023' // invalid_parameter_value: "transaction ID is in the future".
const PACE = { retries: Number.POSITIVE_INFINITY, minTimeout: 50, maxTimeout: 500, factor: 1.5, randomize: true }

/** What an inquiry takes. */
export interface InquiryParts {
  readonly connector: Pick<Connector, 'openAside'>
  readonly clock: Clock
  /** How long one goes on, in milliseconds. */
  readonly patienceMillis: number
}

/** The question can't be answered yet. */
class NotYet extends Error {}

/** A connection for questions, to a primary. */
interface Session {
  readonly connection: Connection
  readonly witness: Witness
}

/**
 * Finds out what became of transactions whose COMMIT was lost. All inquiries of a pool share one connection, beside the
 * pool's own, so that those who lost theirs together don't meet again at the door of a waking server.
 */
export class CommitInquiry {
  readonly #parts: InquiryParts
  #session: Promise<Session> | undefined
  #underWay = 0

  constructor(parts: InquiryParts) {
    this.#parts = parts
  }

  /** Asks until the server knows, or patience ends. Never rejects. */
  readonly find = (transaction: TransactionIdentity): Promise<CommitVerdict> =>
    outOfScope(() => this.#find(transaction))

  /** Ends a session whose client is gone, unless it ends by itself in time. Never rejects. */
  readonly fence = (session: ServerIdentity | TransactionIdentity): Promise<void> =>
    outOfScope(async () => {
      await this.#patiently((elapsedMillis) => this.#end(session, elapsedMillis), 'nothing').catch(() => {})
    })

  async #find(transaction: TransactionIdentity): Promise<CommitVerdict> {
    const startedAt = this.#parts.clock.now()
    try {
      return await this.#patiently((elapsedMillis) => this.#inquire(transaction, elapsedMillis), 'process')
    } catch (error) {
      return { unknown: `no answer within ${Math.round(this.#parts.clock.now() - startedAt)} ms: ${messageOf(error)}` }
    }
  }

  /** Tries until it succeeds, or patience ends; then it rejects with what was in the way. */
  async #patiently<Result>(
    attempt: (elapsedMillis: number) => Promise<Result>,
    keepsAlive: KeepsAlive,
  ): Promise<Result> {
    const { clock, patienceMillis } = this.#parts
    const startedAt = clock.now()
    const patience = new AbortController()
    const cancel = clock.schedule(patienceMillis, () => patience.abort(), keepsAlive)
    let trouble: unknown
    this.#underWay++
    try {
      return await pRetry(() => attempt(clock.now() - startedAt), {
        ...PACE,
        unref: keepsAlive === 'nothing',
        signal: patience.signal,
        shouldRetry: ({ error }) => {
          trouble = error
          return error instanceof NotYet || !(error instanceof ConnectError) || mayConnectAgain(error.cause, true)
        },
      })
    } catch (error) {
      throw trouble ?? error
    } finally {
      cancel()
      if (--this.#underWay === 0) this.#leave()
    }
  }

  async #end(session: ServerIdentity | TransactionIdentity, elapsedMillis: number): Promise<void> {
    if (elapsedMillis < GRACE_MILLIS) throw new NotYet('its end may have been noticed')
    await this.#with(async (asked) => {
      await this.#ask(asked, endSession(session))
      if ((await this.#ask(asked, whereIs(session))).length > 0) throw new NotYet('the session is there yet')
    })
  }

  #inquire(transaction: TransactionIdentity, elapsedMillis: number): Promise<CommitVerdict> {
    return this.#with(async (asked) => {
      const verdict = judge(transaction, asked.witness, await this.#statusOf(transaction, asked))
      if (verdict !== 'in progress') return verdict
      if (await this.#isGone(transaction, asked, elapsedMillis)) return 'aborted'
      throw new NotYet('the transaction is still in progress')
    })
  }

  /** Asks over the shared connection; one that fails is left, and the next who asks opens another. */
  async #with<Result>(inquire: (asked: Session) => Promise<Result>): Promise<Result> {
    const asked = await this.#meet()
    try {
      return await inquire(asked)
    } catch (error) {
      if (!(error instanceof NotYet)) this.#leave()
      throw error
    }
  }

  async #statusOf(transaction: TransactionIdentity, session: Session): Promise<TransactionStatusThere> {
    try {
      const [row] = await this.#ask(session, whatBecameOf(transaction))
      return (row?.status ?? null) as TransactionStatusThere
    } catch (error) {
      if (codeOf(error) === FUTURE) return 'future'
      throw error
    }
  }

  /**
   * Its session may need a moment, then it must end: it holds locks, and might commit at any time. If it's gone already,
   * and there was a crash, whoever is in progress under its id is another.
   */
  async #isGone(transaction: TransactionIdentity, session: Session, elapsedMillis: number): Promise<boolean> {
    if (elapsedMillis < GRACE_MILLIS) return false
    await this.#ask(session, fence(transaction))
    const [there] = await this.#ask(session, whereIs(transaction))
    if (there?.wait_event === 'SyncRep') throw new NotYet('the transaction waits for a synchronous standby')
    if (there || session.witness.server.statisticsStart === transaction.statisticsStart) return false
    // It may have ended between the two questions.
    return (await this.#statusOf(transaction, session)) === 'in progress'
  }

  #ask({ connection }: Session, sql: string): ReturnType<typeof ask> {
    return ask(connection, sql, this.#parts.clock, ANSWER_MILLIS)
  }

  #meet(): Promise<Session> {
    const session = this.#session ?? this.#open()
    this.#session = session
    session.catch(() => {
      if (this.#session === session) this.#session = undefined
    })
    return session
  }

  async #open(): Promise<Session> {
    const connection = await this.#parts.connector.openAside()
    const [row] = await ask(connection, WHO_ARE_YOU, this.#parts.clock, ANSWER_MILLIS).catch((error: unknown) => {
      void connection.close(ANSWER_MILLIS, error)
      throw error
    })
    const server = readServer(row?.server)
    if (server)
      return {
        connection,
        witness: { server, nextTransactionId: String(row?.next_xid), isFirstCheckpoint: row?.is_first === 'true' },
      }
    void connection.close(ANSWER_MILLIS, undefined)
    throw new NotYet('the server is a standby')
  }

  #leave(): void {
    this.#session?.then(({ connection }) => connection.close(ANSWER_MILLIS, undefined)).catch(() => {})
    this.#session = undefined
  }
}
