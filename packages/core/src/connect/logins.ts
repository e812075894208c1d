import type { AsyncResource } from 'node:async_hooks'
import type { Connection } from '../connection/connection.ts'
import { connectCauseOf } from '../errors.ts'
import type { Candidate } from '../options/hosts.ts'
import { HOSTS_PAUSE_MILLIS } from '../policy/backoff.ts'
import { mayConnectAgain } from '../policy/retry.ts'
import { inNoContext } from '../runtime/context.ts'
import { toError } from '../thrown.ts'
import type { HostList, HostRound } from './host-list.ts'
import { Login, type LoginTimes } from './login.ts'

/** What logging in takes, and who is told how it goes. */
export interface LoginsParts extends LoginTimes {
  /** The hosts that are tried, if there are several, or some don't suit. */
  readonly hosts?: HostList | undefined
  /** Makes a connection that isn't open: to this host, on behalf of one caller, if there are these. */
  readonly make: (opener: AsyncResource | undefined, candidate: Candidate | undefined) => Connection
  /** Logs it in, without a time limit. */
  readonly logIn: (connection: Connection, opener: AsyncResource | undefined) => Promise<void>
  /** The spare login has begun: it has no slot. */
  readonly onSpare: (connection: Connection) => void
  /** This connection is not needed any more. */
  readonly onDropped: (connection: Connection, cause: Error) => void
  /** A login has failed, and another one takes its slot. */
  readonly onFailure: (error: unknown, connection: Connection) => void
  /** It is logged in, and has a slot. */
  readonly onLoggedIn: (connection: Connection) => void
}

/** A slot that was asked for, and the login that is to fill it. */
interface Slot {
  login: Login
  /** Whether another login may begin beside it. */
  isSilent: boolean
  /** The hosts that are left for it, if there are several. */
  round: HostRound | undefined
  readonly opener: AsyncResource | undefined
  readonly onTaken: (connection: Connection) => void
  readonly end: (outcome: Connection | undefined | Promise<never>) => void
}

/**
 * The logins under way. A slow login isn't cut off: it goes on as long as its connection is wanted. When one is silent for too
 * long, a single spare login begins beside all of them, and the first one that is ready fills a slot.
 */
export class Logins {
  readonly #parts: LoginsParts
  readonly #slots = new Set<Slot>()
  #spare: Login | undefined
  /** How many spare logins in a row have failed. */
  #failedSpares = 0
  /** Whether all hosts have been tried just now. */
  #isPausing = false

  constructor(parts: LoginsParts) {
    this.#parts = parts
  }

  /**
   * Begins a login, on behalf of one caller if there is one. Calls `onTaken` with the connection that has the slot: at once,
   * and again if the spare one takes it. Resolves with the connection that is logged in; with undefined if it was closed
   * meanwhile.
   *
   * @throws {ConnectError} if the server can't be reached, or refuses.
   */
  logIn(onTaken: (connection: Connection) => void, opener?: AsyncResource): Promise<Connection | undefined> {
    return new Promise((end) => {
      const round = this.#parts.hosts?.begin()
      const login = this.#make(opener, round?.next())
      const slot: Slot = { login, isSilent: false, round, opener, onTaken, end }
      this.#slots.add(slot)
      onTaken(login.connection)
      this.#start(login, opener)
      this.#watch(slot)
    })
  }

  /** A caller waits: if a login has been silent for too long, the spare one begins. */
  ensureSpare(): void {
    const { maySpareOne, isWanted } = this.#parts
    if (this.#slots.size === 0 || this.#spare || this.#isPausing || !maySpareOne || !isWanted()) return
    const slot = this.#silentSlot()
    if (slot) inNoContext(() => this.#beginSpare(this.#nextFor(slot)))
  }

  #beginSpare(candidate: Candidate | undefined): void {
    let spare: Login
    try {
      spare = this.#make(undefined, candidate)
    } catch {
      return // The constructor of a user's class has thrown. The next login reports it.
    }
    this.#spare = spare
    this.#parts.onSpare(spare.connection)
    this.#start(spare)
    this.#watchSpare(spare)
  }

  /** The next host for a slot. When all have been tried, they come again. */
  #nextFor(slot: Slot): Candidate | undefined {
    const { hosts } = this.#parts
    const next = slot.round?.next()
    if (next || !hosts) return next
    slot.round = hosts.begin(slot.login.connection.candidate?.host)
    return slot.round.next()
  }

  #make(opener: AsyncResource | undefined, candidate: Candidate | undefined): Login {
    return new Login(this.#parts.make(opener, candidate), this.#parts)
  }

  #start(login: Login, opener?: AsyncResource): void {
    this.#parts
      .logIn(login.connection, opener)
      .then(
        () => this.#loggedIn(login),
        (error: unknown) => this.#failed(login, error),
      )
      .catch((error: unknown) => this.#giveUp(login, error))
  }

  /** A check has thrown. The caller that waits for this slot must be told. */
  #giveUp(login: Login, error: unknown): void {
    const slot = this.#slotOf(login)
    if (slot) this.#end(slot, Promise.reject(error))
    else if (login === this.#spare) this.#dropSpare(toError(error))
  }

  #watch(slot: Slot): void {
    const { login } = slot
    login.lookLater(this.#failedSpares, () => {
      if (login.connection.isGone()) return this.#end(slot, undefined)
      if (login.isTooLong) return this.#slotFailed(slot, login.noAnswer())
      slot.isSilent = login.checkSilence(this.#failedSpares)
      if (slot.isSilent) this.#noteSilence(login)
      if (slot.isSilent && this.#parts.hosts?.failsAtOnce) return this.#slotFailed(slot, login.noAnswer())
      if (slot.isSilent) this.ensureSpare()
      if (this.#slots.has(slot) && slot.login === login) this.#watch(slot)
    })
  }

  #watchSpare(spare: Login): void {
    // It has more time than the spare before it.
    spare.lookLater(this.#failedSpares + 1, () => {
      if (!spare.checkSilence(this.#failedSpares + 1)) return this.#watchSpare(spare)
      this.#failedSpares++
      this.#noteSilence(spare)
      this.#dropSpare(spare.noAnswer())
      this.ensureSpare()
    })
  }

  /** Other connections try another host first. */
  #noteSilence(login: Login): void {
    const { candidate } = login.connection
    if (candidate) this.#parts.hosts?.noteFailure(candidate.host, login.noAnswer())
  }

  #loggedIn(login: Login): void {
    login.stopLooking()
    const own = this.#slotOf(login)
    if (own?.login.connection.isGone()) return this.#end(own, undefined)
    if (login === this.#spare) this.#spareLoggedIn(login)
    else if (own) this.#succeed(own)
  }

  #succeed(slot: Slot): void {
    this.#failedSpares = 0
    const { connection } = slot.login
    this.#parts.onLoggedIn(connection)
    this.#end(slot, connection)
  }

  /** The spare one is ready first, and takes the slot of a silent one, or of any. */
  #spareLoggedIn(spare: Login): void {
    const slot = this.#silentSlot() ?? this.#liveSlot()
    if (!slot) return this.#dropSpare(unneeded())
    this.#takeSlot(slot, spare, slot.login.noAnswer())
    this.#succeed(slot)
  }

  #failed(login: Login, error: unknown): void {
    const slot = this.#slotOf(login)
    if (slot?.login.connection.isGone()) this.#end(slot, undefined)
    else if (slot) this.#slotFailed(slot, error)
    else if (login === this.#spare) this.#spareFailed(login, error)
  }

  /**
   * An error that retrying can't help is final. After any other, the spare one takes the slot, if there is one; else a login to
   * the next host.
   */
  #slotFailed(slot: Slot, error: unknown): void {
    const { hosts, onFailure } = this.#parts
    const { connection } = slot.login
    if (!mayLogInAgain(error)) return this.#end(slot, Promise.reject(error))
    const spare = this.#spare ?? this.#loginToNext(slot)
    if (!spare) return this.#end(slot, Promise.reject(hosts ? hosts.failure(error, connection.endpoint) : error))
    const isUnderWay = spare === this.#spare
    if (!hosts) onFailure(error, connection)
    this.#takeSlot(slot, spare, toError(error))
    if (!isUnderWay) this.#start(spare, slot.opener)
    this.#watch(slot)
  }

  #loginToNext(slot: Slot): Login | undefined {
    const next = slot.round?.next()
    return next && this.#make(slot.opener, next)
  }

  #spareFailed(spare: Login, error: unknown): void {
    this.#failedSpares++
    this.#dropSpare(toError(error))
    const { hosts } = this.#parts
    const silent = [...this.#slots].filter(({ isSilent }) => isSilent)
    if (hosts && hosts.size > 1 && mayLogInAgain(error)) return this.#tryAfterSpare(silent)
    // The error holds for all logins whose socket isn't connected. A final error is reported to one.
    const refused = mayLogInAgain(error) ? silent.filter(({ login }) => login.isUnreached) : silent.slice(0, 1)
    if (refused.length === 0) this.#parts.onFailure(error, spare.connection)
    // The others are given time before the next spare one.
    for (const slot of this.#slots) {
      slot.isSilent = false
      slot.login.restartSilence()
      this.#watch(slot)
    }
    for (const slot of refused) this.#end(slot, Promise.reject(error))
  }

  /** Another host says nothing of a silent one: the next is tried, or after a pause all of them. */
  #tryAfterSpare([slot]: Slot[]): void {
    const next = slot?.round?.next()
    if (next) inNoContext(() => this.#beginSpare(next))
    else this.#pause()
  }

  #pause(): void {
    this.#isPausing = true
    const goOn = (): void => {
      this.#isPausing = false
      this.ensureSpare()
    }
    this.#parts.clock.schedule(HOSTS_PAUSE_MILLIS, goOn, 'nothing')
  }

  #takeSlot(slot: Slot, spare: Login, cause: Error): void {
    const former = slot.login
    former.stopLooking()
    if (this.#spare === spare) this.#spare = undefined
    spare.stopLooking()
    slot.login = spare
    slot.isSilent = false
    // The former connection leaves the pool before the spare one takes its slot.
    this.#parts.onDropped(former.connection, cause)
    slot.onTaken(spare.connection)
  }

  #end(slot: Slot, outcome: Connection | undefined | Promise<never>): void {
    slot.login.stopLooking()
    this.#slots.delete(slot)
    if (!this.#liveSlot() && this.#spare) this.#dropSpare(unneeded())
    slot.end(outcome)
  }

  #dropSpare(cause: Error): void {
    const spare = this.#spare as Login
    this.#spare = undefined
    spare.stopLooking()
    this.#parts.onDropped(spare.connection, cause)
  }

  #slotOf(login: Login): Slot | undefined {
    for (const slot of this.#slots) if (slot.login === login) return slot
    return undefined
  }

  #silentSlot(): Slot | undefined {
    for (const slot of this.#slots) if (slot.isSilent && !slot.login.connection.isGone()) return slot
    return undefined
  }

  #liveSlot(): Slot | undefined {
    for (const slot of this.#slots) if (!slot.login.connection.isGone()) return slot
    return undefined
  }
}

function unneeded(): Error {
  return new Error('Another login was ready first')
}

/** Whether another login may succeed after this error. */
function mayLogInAgain(error: unknown): boolean {
  return mayConnectAgain(connectCauseOf(error), true)
}
