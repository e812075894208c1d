import type { Host } from '../options/hosts.ts'
import type { DeadVerdict, ProofOfDeath } from '../policy/death.ts'
import { pause } from '../runtime/clock.ts'
import type { DeadStatement, WatchLimit } from '../telemetry/events.ts'
import { codeOf } from '../thrown.ts'
import { fenceQuery, type Look, lookQuery, outcomeQuery, readLook, type SessionIdentity } from './look.ts'
import { isAlone, type SeenTransaction, type Silence, type WatchedConnection } from './silence.ts'
import { isApart, isUnmoved, judgeLooks, LEAST_GAP_MILLIS, type SessionLook } from './verdict.ts'
import type { Death, KnownSession, WatcherParts } from './watcher-parts.ts'

/** A network that leads nowhere so many times, over so long, is believed to be gone. */
const UNREACHABLE_TIMES = 3
const UNREACHABLE_MILLIS = 5000
/** The pause after a look that failed. */
const PAUSE_MILLIS = 1000
/** A session that was told to terminate has so long to end its transaction. */
const OUTCOME_TIMES = 20
const OUTCOME_PAUSE_MILLIS = 50

/** What is in flight, and what to do when a connection is given up. */
export interface InSilence<Connection> {
  readonly silences: ReadonlyMap<Connection, Silence>
  readonly forget: (connection: Connection) => void
}

type Silent<Connection> = readonly (readonly [Connection, Silence])[]

/** The looks at silent sessions, one after the other, and what follows from them. */
export class Looks<Connection extends WatchedConnection> {
  readonly #parts: WatcherParts<Connection>
  readonly #inSilence: InSilence<Connection>
  readonly #sessions = new WeakMap<Connection, KnownSession>()
  #isUnderWay = false
  /** The role of the pool's connections may see less than its login did. */
  #how: 'any' | 'own' = 'any'
  #isLimitTold = false
  /** How often the network led nowhere, by host. */
  readonly #unreachable = new Map<Host | undefined, { readonly since: number; readonly times: number }>()

  constructor(parts: WatcherParts<Connection>, inSilence: InSilence<Connection>) {
    this.#parts = parts
    this.#inSilence = inSilence
  }

  get isUnderWay(): boolean {
    return this.#isUnderWay
  }

  know(connection: Connection, session: KnownSession): void {
    this.#sessions.set(connection, session)
  }

  /** If the look at one session is due, looks at all that have been silent for long enough. */
  lookIfDue(now: number): void {
    if (this.#isUnderWay) return
    const { silentMillis } = this.#parts
    const silences = [...this.#inSilence.silences]
    const silent = silences.filter(([, { since, isBeingEnded }]) => !isBeingEnded && now - since >= silentMillis)
    if (!silent.some(([, { lookAt }]) => lookAt <= now)) return
    this.#isUnderWay = true
    const hosts = new Set(silent.map(([connection]) => hostOf(connection)))
    const looks = [...hosts].map((host) => {
      const there = silent.filter(([connection]) => hostOf(connection) === host)
      return this.#lookAt(there, host, now)
    })
    void Promise.all(looks).finally(() => {
      this.#isUnderWay = false
    })
  }

  /** Looks at sessions that are on one host. */
  async #lookAt(silent: Silent<Connection>, host: Host | undefined, now: number): Promise<void> {
    const known = silent.filter(([connection]) => this.#sessions.has(connection))
    if (known.length < silent.length) this.#tellLimit('not-direct')
    for (const [connection, silence] of silent) if (!this.#sessions.has(connection)) silence.nextLook()
    const isAnswered = known.length > 0 && (await this.#ask(known, host))
    // Without an answer, all that can be known is whether the network leads to the server.
    if (!isAnswered && silent.length > 0) await this.#checkReach(silent, host, now)
  }

  /** Resolves with whether the server has answered. */
  async #ask(silent: Silent<Connection>, host: Host | undefined): Promise<boolean> {
    const { clock, ask } = this.#parts
    const askedAt = clock.now()
    let look: Look | undefined
    try {
      look = readLook(
        await ask(lookQuery(silent.map(([connection]) => this.#identityOf(connection).backendPid)), this.#how, host),
      )
    } catch (error) {
      this.#pause(silent)
      // What a program has set in its sessions may make a question fail.
      if (isServersWord(error)) this.#how = 'own'
      return isServersWord(error)
    }
    if (!look) this.#pause(silent)
    else {
      const answered = { look, askedAt, answeredAt: clock.now() }
      this.#unreachable.delete(host)
      // What the server has sent before its answer may be unread in the other sockets.
      await new Promise<void>((resolve) => clock.afterReading(resolve))
      await Promise.all(silent.map(([connection, silence]) => this.#judge(connection, silence, answered)))
    }
    return true
  }

  /** Judges one session by a look. Resolves when what follows from it is done. */
  async #judge(
    connection: Connection,
    silence: Silence,
    { look, askedAt, answeredAt }: { readonly look: Look; readonly askedAt: number; readonly answeredAt: number },
  ): Promise<void> {
    const now = this.#parts.clock.now()
    if (!this.#isCurrent(connection, silence)) return
    const { identity, clock } = this.#sessions.get(connection) as KnownSession
    const sight = look.sessions.get(identity.backendPid) ?? 'hidden'
    const { isFlushed, isReading } = connection.session.traffic
    const isSameServer = look.serverStart === identity.serverStart
    const last = { sight, isSameServer, askedAt, answeredAt, serverNow: look.now / 1000, isFlushed, isReading }
    const verdict = judgeLooks(silence.facts(), identity, clock, last, silence.last)
    silence.nextLook()
    // Looks for other sessions may come in short order: the earlier one stays, until another can confirm it.
    if (verdict.is !== 'undecided') silence.last = undefined
    else if (!silence.last || isApart(silence.last, last)) silence.last = last
    if (typeof sight === 'object' && sight.transactionId && isAlone(connection)) {
      const { serverStart, statisticsStart } = look
      silence.transaction ??= { id: sight.transactionId, serverStart, statisticsStart }
    }
    if (verdict.is === 'dead') await this.#end(connection, silence, verdict.reason, last)
    else if (verdict.is === 'undecided') silence.lookAt = Math.min(silence.lookAt, answeredAt + gapAfter(last))
    else if (verdict.is === 'hidden') this.#hidden(verdict.why)
    else if (typeof sight === 'object') this.#parts.onSlow(connection, silence.slow(sight, now))
  }

  /** The pool's connections may have changed their role: then the watch's own session sees more. */
  #hidden(why: WatchLimit): void {
    if (why === 'insufficient-privilege' && this.#how === 'any') this.#how = 'own'
    else this.#tellLimit(why)
  }

  #tellLimit(why: WatchLimit): void {
    if (this.#isLimitTold) return
    this.#isLimitTold = true
    this.#parts.onLimited(why)
  }

  /** Ends the session, so that it holds no locks, and so that nothing of a statement that has not arrived can run later. */
  async #end(connection: Connection, silence: Silence, verdict: DeadVerdict, last: SessionLook): Promise<void> {
    const dead = this.#declareDead(connection, silence, verdict, last)
    silence.isBeingEnded = true
    const proof = await this.#prove(connection, silence, verdict, last)
    silence.isBeingEnded = false
    // A session that was ended may have said so itself. Its answer may have come, too.
    if (this.#isCurrent(connection, silence)) this.#giveUp(connection, { ...dead, proof })
  }

  /** Ends the session. Resolves with what that proves of its statement. */
  async #prove(
    connection: Connection,
    { transaction, isOnlyOneSent }: Silence,
    verdict: DeadVerdict,
    last: SessionLook,
  ): Promise<ProofOfDeath | undefined> {
    const ending = verdict === 'session-gone' ? Promise.resolve(false) : this.#fence(connection, last)
    if (verdict === 'never-arrived') return (await ending) ? 'never-ran' : undefined
    // Of several, a later one may be the unfinished one.
    if (verdict === 'unfinished') return (await ending) && isOnlyOneSent ? 'interrupted' : undefined
    if (!transaction) return undefined
    await ending
    return await this.#outcomeOf(transaction, hostOf(connection))
  }

  /** Asks what became of the transaction of a session that was told to terminate. That may take a moment. */
  async #outcomeOf(transaction: SeenTransaction, host: Host | undefined): Promise<ProofOfDeath | undefined> {
    const { ask, clock } = this.#parts
    for (let times = 0; times < OUTCOME_TIMES; times++) {
      try {
        const [row] = await ask(outcomeQuery(transaction.id, transaction), this.#how, host)
        if (row?.status === 'committed') return 'committed'
        if (row?.status === 'aborted') return 'interrupted'
        if (row?.status !== 'in progress') return undefined
      } catch {
        return undefined
      }
      await pause(clock, OUTCOME_PAUSE_MILLIS, 'nothing')
    }
    return undefined
  }

  /** Resolves with whether the session was ended where it was seen: then nothing of its statement can be committed. */
  async #fence(connection: Connection, { sight, isSameServer }: SessionLook): Promise<boolean> {
    const identity = this.#identityOf(connection)
    try {
      const after = readLook(await this.#parts.ask(fenceQuery(identity), this.#how, hostOf(connection)))
      const isServer = isSameServer && after?.serverStart === identity.serverStart
      return isServer && isUnmoved(sight, after?.sessions.get(identity.backendPid))
    } catch {
      return false
    }
  }

  #declareDead(
    connection: Connection,
    silence: Silence,
    verdict: DeadVerdict,
    last: SessionLook | undefined,
  ): DeadStatement {
    const { clock, onVerdict } = this.#parts
    const state = typeof last?.sight === 'object' ? last.sight.state : undefined
    const dead = { verdict, state, silentMillis: clock.now() - silence.since }
    onVerdict(connection, dead)
    return dead
  }

  #giveUp(connection: Connection, dead: Death): void {
    this.#inSilence.forget(connection)
    this.#parts.onDead(connection, dead)
  }

  /** If the network leads nowhere, again and again, the sessions are lost. A server that is reached may be at work. */
  async #checkReach(silent: Silent<Connection>, host: Host | undefined, startedAt: number): Promise<void> {
    const { clock, reaches } = this.#parts
    const [connection] = silent[0] as Silent<Connection>[number]
    if ((await reaches(connection)) !== false) {
      this.#unreachable.delete(host)
      return
    }
    const { since = startedAt, times: before = 0 } = this.#unreachable.get(host) ?? {}
    const times = before + 1
    this.#unreachable.set(host, { since, times })
    this.#pause(silent)
    if (times < UNREACHABLE_TIMES || clock.now() - since < UNREACHABLE_MILLIS) return
    for (const [each, silence] of silent) {
      if (!this.#isCurrent(each, silence) || silence.since > since) continue
      const dead = this.#declareDead(each, silence, 'unreachable', undefined)
      this.#giveUp(each, { ...dead, proof: undefined })
    }
  }

  /** Whether this statement still waits, and no byte has come. */
  #isCurrent(connection: Connection, silence: Silence): boolean {
    return this.#inSilence.silences.get(connection) === silence && silence.lasts(this.#parts.clock.now())
  }

  #identityOf(connection: Connection): SessionIdentity {
    return (this.#sessions.get(connection) as KnownSession).identity
  }

  #pause(silent: Silent<Connection>): void {
    const at = this.#parts.clock.now() + PAUSE_MILLIS
    for (const [, silence] of silent) {
      silence.looks++
      silence.lookAt = at
    }
  }
}

function hostOf({ candidate }: WatchedConnection): Host | undefined {
  return candidate?.host
}

/** Whether a server has answered, though with an error: then the network leads to it. */
function isServersWord(error: unknown): boolean {
  return /^(?!08)(?=.*\d)[\dA-Z]{5}$/.test(codeOf(error) ?? '')
}

/** How long after a look the next one may confirm it. */
function gapAfter({ askedAt, answeredAt }: SessionLook): number {
  return Math.max(LEAST_GAP_MILLIS, 2 * (answeredAt - askedAt))
}
