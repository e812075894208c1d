import pRetry from 'p-retry'
import type { Connection } from '../connection/connection.ts'
import type { Connector } from '../connection/connector.ts'
import { ask } from '../connection/internal-query.ts'
import { ConnectError } from '../errors.ts'
import { mayAskAgain } from '../policy/classify-error.ts'
import type { Clock, KeepsAlive } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { isInstance, messageOf } from '../thrown.ts'
import { type Ask, readServerReport, type ServerReport } from './server-report.ts'
import {
  type CommitVerdict,
  fence,
  judgeVerdict,
  type ServerIdentity,
  sessionQuery,
  type TransactionIdentity,
  terminateSessionQuery,
} from './verdict.ts'

const LONGEST_ANSWER_MILLIS = 5000
/** So many connections may fall silent before patience ends. */
const LEAST_TRIES = 3
/** How long a session may go on with a COMMIT whose client is gone, before it is fenced. */
const GRACE_MILLIS = 250
const IN_PROGRESS = 'the transaction is still in progress'
const PACE = { retries: Number.POSITIVE_INFINITY, minTimeout: 50, maxTimeout: 500, factor: 1.5, randomize: true }

/** What an inquiry takes. */
export interface CommitResolverParts {
  readonly connector: Pick<Connector, 'openAside'>
  readonly clock: Clock
  /** How long one goes on, in milliseconds. */
  readonly patienceMillis: number
  /** Told when a session has been terminated that was still in the transaction of a lost connection. */
  readonly onFenced: (fenced: { readonly backendPid: number; readonly tookMillis: number }) => void
}

/** One try of an inquiry. */
interface InquiryAttempt {
  /** Since its first. */
  readonly elapsedMillis: number
  /** Aborted when its patience has ended. */
  readonly signal: AbortSignal
}

/** Whether a session was told to end, over all tries. */
interface Fencing {
  readonly startedAt: number
  wasTold: boolean
}

/** What was heard, and what comes of it. */
interface Heard extends ServerReport {
  readonly verdict: ReturnType<typeof judgeVerdict>
}

/** The question can't be answered yet. */
class NotYet extends Error {}

/**
 * Finds out what became of transactions whose COMMIT was lost. All inquiries of a pool share one connection, beside the
 * pool's own, so that those who lost theirs together don't meet again at the door of a waking server.
 */
export class CommitResolver {
  readonly #parts: CommitResolverParts
  readonly #answerMillis: number
  #connection: Promise<Connection> | undefined
  #lastTurn: Promise<unknown> = Promise.resolve()
  #underWay = 0
  #patienceMillis: number
  /** Ends the patience of those that are under way. */
  readonly #patiences = new Set<AbortController>()

  constructor(parts: CommitResolverParts) {
    this.#parts = parts
    this.#patienceMillis = parts.patienceMillis
    this.#answerMillis = Math.min(LONGEST_ANSWER_MILLIS, parts.patienceMillis / LEAST_TRIES)
  }

  /** The pool is about to be gone: leaves so many milliseconds to what is asked now, and to what will be. */
  hurry(millis: number): void {
    this.#patienceMillis = Math.min(this.#patienceMillis, millis)
    for (const patience of this.#patiences) this.#parts.clock.schedule(millis, () => patience.abort(), 'nothing')
  }

  /** Asks until the server knows, or patience ends. Never rejects. */
  readonly find = (transaction: TransactionIdentity): Promise<CommitVerdict> =>
    inNoContext(() => this.#find(transaction))

  /** Ends a session whose client is gone, unless it ends by itself in time. Never rejects. */
  readonly fence = (session: ServerIdentity | TransactionIdentity): Promise<void> =>
    inNoContext(async () => {
      const fencing = this.#fencing()
      await this.#patiently((attempt) => this.#end(session, attempt, fencing), 'nothing').catch(() => {})
    })

  async #find(transaction: TransactionIdentity): Promise<CommitVerdict> {
    const fencing = this.#fencing()
    try {
      return await this.#patiently((attempt) => this.#inquire(transaction, attempt, fencing), 'process')
    } catch (error) {
      const tookMillis = this.#parts.clock.now() - fencing.startedAt
      return { unknown: `no answer within ${Math.round(tookMillis)} ms: ${messageOf(error)}` }
    }
  }

  /** Tries until it succeeds, or patience ends; then it rejects with what was in the way. */
  async #patiently<Result>(
    attempt: (attempt: InquiryAttempt) => Promise<Result>,
    keepsAlive: KeepsAlive,
  ): Promise<Result> {
    const { clock } = this.#parts
    const startedAt = clock.now()
    const patience = new AbortController()
    this.#patiences.add(patience)
    const cancel = clock.schedule(this.#patienceMillis, () => patience.abort(), keepsAlive)
    let trouble: unknown
    this.#underWay++
    try {
      const found = pRetry(() => attempt({ elapsedMillis: clock.now() - startedAt, signal: patience.signal }), {
        ...PACE,
        unref: keepsAlive === 'nothing',
        signal: patience.signal,
        shouldRetry: ({ error }) => {
          trouble = error
          return error instanceof NotYet || !(error instanceof ConnectError) || mayAskAgain(error.cause)
        },
      })
      return await Promise.race([found, endOf(patience.signal)]) // An attempt that is under way may take long.
    } catch (error) {
      throw trouble ?? error
    } finally {
      cancel()
      this.#patiences.delete(patience)
      if (--this.#underWay === 0) this.#leave()
    }
  }

  #fencing(): Fencing {
    return { startedAt: this.#parts.clock.now(), wasTold: false }
  }

  /** The session is gone. If it was told to go, that is news, once. */
  #tellFenced({ backendPid }: ServerIdentity, fencing: Fencing): void {
    if (!fencing.wasTold) return
    fencing.wasTold = false
    this.#parts.onFenced({ backendPid, tookMillis: this.#parts.clock.now() - fencing.startedAt })
  }

  async #end(session: ServerIdentity | TransactionIdentity, attempt: InquiryAttempt, fencing: Fencing): Promise<void> {
    if (attempt.elapsedMillis < GRACE_MILLIS) throw new NotYet('its end may have been noticed')
    await this.#with(attempt, async (ask) => {
      if ((await ask(terminateSessionQuery(session))).length > 0) fencing.wasTold = true
      if ((await ask(sessionQuery(session))).length > 0) throw new NotYet('the session is there yet')
      this.#tellFenced(session, fencing)
    })
  }

  /**
   * Its session may need a moment, then it must end: it holds locks, and might commit at any time. If it's gone already,
   * and there was a crash, whoever is in progress under its id is another.
   */
  #inquire(transaction: TransactionIdentity, attempt: InquiryAttempt, fencing: Fencing): Promise<CommitVerdict> {
    return this.#with(attempt, async (ask) => {
      const first = await this.#hear(transaction, ask)
      if (!first.there) this.#tellFenced(transaction, fencing)
      if (first.verdict !== 'in progress') return first.verdict
      if (attempt.elapsedMillis < GRACE_MILLIS) throw new NotYet(IN_PROGRESS)
      if ((await ask(fence(transaction))).length > 0) fencing.wasTold = true
      const { verdict, there, witness } = await this.#hear(transaction, ask)
      if (!there) this.#tellFenced(transaction, fencing)
      if (verdict !== 'in progress') return verdict
      if (there?.waitEvent === 'SyncRep') throw new NotYet('the transaction waits for a synchronous standby')
      if (there || witness.server.statisticsStart === transaction.statisticsStart) throw new NotYet(IN_PROGRESS)
      return 'aborted'
    })
  }

  async #hear(transaction: TransactionIdentity, ask: Ask): Promise<Heard> {
    const testimony = await readServerReport(transaction, ask)
    if (testimony) return { ...testimony, verdict: judgeVerdict(transaction, testimony.witness, testimony.status) }
    this.#leave() // Another connection may lead to another server.
    throw new NotYet('the server is a standby')
  }

  /**
   * Asks over the shared connection, one after the other: nobody's statements get into another's transaction. A connection
   * that fails is left, and the next who asks opens another.
   */
  #with<Result>({ signal }: InquiryAttempt, inquire: (ask: Ask) => Promise<Result>): Promise<Result> {
    const turn = this.#lastTurn.then(async () => {
      signal.throwIfAborted() // Nobody would close what was opened now.
      const connection = await this.#connect()
      try {
        return await inquire((sql) => ask(connection, sql, this.#parts.clock, this.#answerMillis))
      } catch (error) {
        if (!isInstance(error, NotYet)) this.#leave()
        throw error
      }
    })
    this.#lastTurn = turn.catch(() => {})
    return turn
  }

  #connect(): Promise<Connection> {
    const connection = this.#connection ?? this.#parts.connector.openAside()
    this.#connection = connection
    connection.catch(() => {
      if (this.#connection === connection) this.#connection = undefined
    })
    return connection
  }

  #leave(): void {
    this.#connection?.then((connection) => connection.close(this.#answerMillis, undefined)).catch(() => {})
    this.#connection = undefined
  }
}

/** Rejects when the signal is aborted. */
function endOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
