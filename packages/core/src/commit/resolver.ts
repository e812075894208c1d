import pRetry from 'p-retry'
import { ConnectError } from '../errors.ts'
import type { Host } from '../options/hosts.ts'
import { mayAskAgain } from '../policy/retry.ts'
import type { Clock, KeepsAlive } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { isInstance, messageOf } from '../thrown.ts'
import type { Row } from './server-report.ts'
import {
  type Ask,
  readPrimary,
  readServerReport,
  type ServerReport,
  sessionQuery,
  terminateQuery,
} from './server-report.ts'
import type { Timelines } from './timelines.ts'
import {
  type CommitVerdict,
  judgeFailover,
  judgeVerdict,
  type ServerIdentity,
  type TransactionIdentity,
} from './verdict.ts'

/** How long the server may take to answer one question. */
const LONGEST_ANSWER_MILLIS = 5000
/** At least so many sessions may fall silent before an inquiry ends. */
const LEAST_SESSIONS = 3
/** How long a session whose client is gone may stay in its transaction before it is terminated. */
const GRACE_MILLIS = 250
const IN_PROGRESS = 'the transaction is still in progress'
const PACE = { retries: Number.POSITIVE_INFINITY, minTimeout: 50, maxTimeout: 500, factor: 1.5, randomize: true }

/** A session in which the resolver asks. */
export interface ResolverSession {
  /** Resolves with the rows of the answer. Rejects with the server's error, or when there is no answer in time. */
  readonly ask: (sql: string, timeoutMillis: number) => Promise<readonly Row[]>
  readonly close: (timeoutMillis: number) => unknown
}

/** What the resolver needs. */
export interface CommitResolverOptions {
  /** Opens a session beside the pool's connections: to this host, if there are several. */
  readonly openSession: (host: Host | undefined) => Promise<ResolverSession>
  /** The other hosts: one of them may have been promoted in place of this one. */
  readonly otherHosts?: ((host: Host) => readonly Host[]) | undefined
  /** What the pool knows of promotions, if there are several hosts. */
  readonly timelines?: Timelines | undefined
  readonly clock: Clock
  /** How long one inquiry may take, in milliseconds. */
  readonly timeoutMillis: number
  /** Told when a session has been terminated that was still in the transaction of a lost connection. */
  readonly onFenced: (fenced: { readonly backendPid: number; readonly tookMillis: number }) => void
}

/** One try of an inquiry. */
interface Try {
  /** Since the inquiry began. */
  readonly elapsedMillis: number
  /** Aborted when the inquiry has taken too long. */
  readonly signal: AbortSignal
  /** Where the session was that is asked about, if there are several hosts. */
  readonly host?: Host | undefined
}

/** Whether an inquiry has told a session to terminate. */
interface Fencing {
  readonly startedAt: number
  isDue: boolean
}

/** What the server says about a transaction, and what that proves. */
interface JudgedReport extends ServerReport {
  readonly verdict: ReturnType<typeof judgeVerdict>
}

/** The question has no final answer at the moment. Asking again may help. */
class NotYet extends Error {}

/**
 * Finds out what became of transactions whose COMMIT was lost. All inquiries of a pool share one session, so that many lost
 * COMMITs don't open many connections to a recovering server.
 */
export class CommitResolver {
  readonly #options: CommitResolverOptions
  readonly #answerMillis: number
  #session: Promise<ResolverSession> | undefined
  /** Where it leads. */
  #host: Host | undefined
  #lastTurn: Promise<unknown> = Promise.resolve()
  #running = 0
  #timeoutMillis: number
  /** One for each running inquiry: aborts it. */
  readonly #deadlines = new Set<AbortController>()

  constructor(options: CommitResolverOptions) {
    this.#options = options
    this.#timeoutMillis = options.timeoutMillis
    this.#answerMillis = Math.min(LONGEST_ANSWER_MILLIS, options.timeoutMillis / LEAST_SESSIONS)
  }

  /** The pool is shutting down: leaves this many milliseconds to every running inquiry, and to each that follows. */
  shorten(millis: number): void {
    this.#timeoutMillis = Math.min(this.#timeoutMillis, millis)
    for (const deadline of this.#deadlines) this.#options.clock.schedule(millis, () => deadline.abort(), 'nothing')
  }

  /** Asks until the server knows what became of a transaction, or time is up. Never rejects. */
  readonly resolve = (transaction: TransactionIdentity, host?: Host): Promise<CommitVerdict> =>
    inNoContext(() => this.#resolve(transaction, host))

  /** Terminates a session whose client is gone, unless it ends by itself in time. Never rejects. */
  readonly fence = (session: ServerIdentity | TransactionIdentity, host?: Host): Promise<void> =>
    inNoContext(async () => {
      const fencing = this.#startFencing()
      await this.#retry((each) => this.#tryToFence(session, { ...each, host }, fencing), 'nothing').catch(() => {})
    })

  async #resolve(transaction: TransactionIdentity, host: Host | undefined): Promise<CommitVerdict> {
    const fencing = this.#startFencing()
    const tryOnce = async (each: Try): Promise<CommitVerdict> => {
      try {
        return await this.#tryToResolve(transaction, { ...each, host }, fencing)
      } catch (error) {
        const verdict = host && isInstance(error, ConnectError) && (await this.#failoverFrom(host, transaction, each))
        if (verdict) return verdict
        throw error
      }
    }
    try {
      return await this.#retry(tryOnce, 'process')
    } catch (error) {
      const tookMillis = this.#options.clock.now() - fencing.startedAt
      return { unknown: `no answer within ${Math.round(tookMillis)} ms: ${messageOf(error)}` }
    }
  }

  /** Tries until it succeeds, or time is up; then it rejects with the last failure. */
  async #retry<Result>(tryOnce: (each: Try) => Promise<Result>, keepsAlive: KeepsAlive): Promise<Result> {
    const { clock } = this.#options
    const startedAt = clock.now()
    const deadline = new AbortController()
    this.#deadlines.add(deadline)
    const cancel = clock.schedule(this.#timeoutMillis, () => deadline.abort(), keepsAlive)
    let lastFailure: unknown
    this.#running++
    try {
      const result = pRetry(() => tryOnce({ elapsedMillis: clock.now() - startedAt, signal: deadline.signal }), {
        ...PACE,
        unref: keepsAlive === 'nothing',
        signal: deadline.signal,
        shouldRetry: ({ error }) => {
          lastFailure = error
          return error instanceof NotYet || !(error instanceof ConnectError) || mayAskAgain(error.cause)
        },
      })
      return await Promise.race([result, rejectOnAbort(deadline.signal)]) // A try that is running may take long.
    } catch (error) {
      throw lastFailure ?? error
    } finally {
      cancel()
      this.#deadlines.delete(deadline)
      if (--this.#running === 0) this.#closeSession()
    }
  }

  async #tryToFence(session: ServerIdentity | TransactionIdentity, each: Try, fencing: Fencing): Promise<void> {
    if (each.elapsedMillis < GRACE_MILLIS) throw new NotYet('the server may have noticed the loss')
    await this.#inTurn(each, async (ask) => {
      if ((await ask(terminateQuery(session))).length > 0) fencing.isDue = true
      if ((await ask(sessionQuery(session))).length > 0) throw new NotYet('the session has not ended')
      this.#publishFencing(session, fencing)
    })
  }

  /**
   * While the transaction is in progress its session gets a moment, then it is terminated: it holds locks, and might commit
   * at any time. If the session has ended, and the server has crashed, the one in progress under this id is another.
   */
  #tryToResolve(transaction: TransactionIdentity, each: Try, fencing: Fencing): Promise<CommitVerdict> {
    const inquire = async (ask: Ask): Promise<CommitVerdict> => {
      const first = await this.#judgeReport(transaction, ask)
      if (!first.session) this.#publishFencing(transaction, fencing)
      if (first.verdict !== 'in progress') return first.verdict
      if (each.elapsedMillis < GRACE_MILLIS) throw new NotYet(IN_PROGRESS)
      if ((await ask(terminateQuery(transaction))).length > 0) fencing.isDue = true
      const { verdict, session, state } = await this.#judgeReport(transaction, ask)
      if (!session) this.#publishFencing(transaction, fencing)
      if (verdict !== 'in progress') return verdict
      if (session?.waitEvent === 'SyncRep') throw new NotYet('the transaction waits for a synchronous standby')
      if (session || state.server.statisticsStart === transaction.statisticsStart) throw new NotYet(IN_PROGRESS)
      return 'aborted'
    }
    return this.#inTurn(each, inquire, () => this.#knownFailover(transaction))
  }

  async #judgeReport(transaction: TransactionIdentity, ask: Ask): Promise<JudgedReport> {
    const report = await readServerReport(transaction, ask)
    if (report) return { ...report, verdict: judgeVerdict(transaction, report.state, report.status) }
    this.#closeSession() // Another session may lead to another server.
    throw new NotYet('the server is a standby')
  }

  /**
   * The host of a lost session can't be reached. If another one has been promoted in its place, what became of the transaction
   * can't be known; and only that is believed of another host.
   */
  async #failoverFrom(
    host: Host,
    transaction: TransactionIdentity,
    { signal }: Try,
  ): Promise<CommitVerdict | undefined> {
    const { openSession, otherHosts, timelines } = this.#options
    for (const other of otherHosts?.(host) ?? []) {
      if (signal.aborted) return undefined
      let session: ResolverSession | undefined
      try {
        session = await openSession(other)
        const server = await readPrimary((sql) => (session as ResolverSession).ask(sql, this.#answerMillis))
        if (server) timelines?.note(server.systemIdentifier, server.timeline)
        const verdict = server && judgeFailover(transaction, server)
        if (verdict) return verdict
      } catch {
        // Neither does it say anything.
      } finally {
        session?.close(this.#answerMillis)
      }
    }
    return undefined
  }

  /** A promotion that the pool has seen: the host of the transaction may be silent, and needs no answer then. */
  #knownFailover(transaction: TransactionIdentity): CommitVerdict | undefined {
    const timeline = this.#options.timelines?.highestOf(transaction.systemIdentifier)
    const { systemIdentifier } = transaction
    return timeline === undefined ? undefined : judgeFailover(transaction, { systemIdentifier, timeline })
  }

  #startFencing(): Fencing {
    return { startedAt: this.#options.clock.now(), isDue: false }
  }

  /** The session has ended. Publishes that once, if it was told to terminate. */
  #publishFencing({ backendPid }: ServerIdentity, fencing: Fencing): void {
    if (!fencing.isDue) return
    fencing.isDue = false
    this.#options.onFenced({ backendPid, tookMillis: this.#options.clock.now() - fencing.startedAt })
  }

  /**
   * Uses the shared session when those before have done so: the statements of one inquiry must not get into the transaction
   * of another. A session that fails is closed, and the next turn opens another. What is known by then isn't asked.
   */
  #inTurn<Result>(
    { signal, host }: Try,
    inquire: (ask: Ask) => Promise<Result>,
    known?: () => Result | undefined,
  ): Promise<Result> {
    const turn = this.#lastTurn.then(async () => {
      signal.throwIfAborted() // Nothing would close a session that is opened now.
      const answer = known?.()
      if (answer !== undefined) return answer
      const session = await this.#openSession(host)
      try {
        return await inquire((sql) => session.ask(sql, this.#answerMillis))
      } catch (error) {
        if (!isInstance(error, NotYet)) this.#closeSession()
        throw error
      }
    })
    this.#lastTurn = turn.catch(() => {})
    return turn
  }

  #openSession(host: Host | undefined): Promise<ResolverSession> {
    if (host !== this.#host) this.#closeSession()
    const session = this.#session ?? this.#options.openSession(host)
    this.#session = session
    this.#host = host
    session.catch(() => {
      if (this.#session === session) this.#session = undefined
    })
    return session
  }

  #closeSession(): void {
    this.#session?.then((session) => session.close(this.#answerMillis)).catch(() => {})
    this.#session = undefined
  }
}

/** Rejects when the signal is aborted. */
function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
