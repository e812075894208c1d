import type { AsyncResource } from 'node:async_hooks'
import type { Connection } from '../connection/connection.ts'
import { connectCauseOf } from '../errors.ts'
import { mayConnectAgain } from '../policy/classify-error.ts'
import { inNoContext } from '../runtime/context.ts'
import { toError } from '../thrown.ts'
import { Login, type LoginTimes } from './login.ts'

/** What logging in takes, and who is told how it goes. */
export interface LoginsParts extends LoginTimes {
  /** Makes a connection that isn't open, on behalf of one caller if there is one. */
  readonly make: (opener: AsyncResource | undefined) => Connection
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
      const login = this.#make(opener)
      const slot: Slot = { login, isSilent: false, onTaken, end }
      this.#slots.add(slot)
      onTaken(login.connection)
      this.#start(login, opener)
      this.#watch(slot)
    })
  }

  /** A caller waits: if a login has been silent for too long, the spare one begins. */
  ensureSpare(): void {
    const { maySpareOne, isWanted } = this.#parts
    if (this.#slots.size === 0 || this.#spare || !maySpareOne || !isWanted()) return
    if (this.#silentSlot()) inNoContext(() => this.#beginSpare())
  }

  #beginSpare(): void {
    let spare: Login
    try {
      spare = this.#make()
    } catch {
      return // The constructor of a user's class has thrown. The next login reports it.
    }
    this.#spare = spare
    this.#parts.onSpare(spare.connection)
    this.#start(spare)
    this.#watchSpare(spare)
  }

  #make(opener?: AsyncResource): Login {
    return new Login(this.#parts.make(opener), this.#parts)
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
      if (slot.isSilent) this.ensureSpare()
      if (this.#slots.has(slot) && slot.login === login) this.#watch(slot)
    })
  }

  #watchSpare(spare: Login): void {
    // It has more time than the spare before it.
    spare.lookLater(this.#failedSpares + 1, () => {
      if (!spare.checkSilence(this.#failedSpares + 1)) return this.#watchSpare(spare)
      this.#failedSpares++
      this.#dropSpare(spare.noAnswer())
      this.ensureSpare()
    })
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

  /** An error that retrying can't help is final. After any other, the spare one takes the slot, if there is one. */
  #slotFailed(slot: Slot, error: unknown): void {
    const spare = this.#spare
    if (!spare || !mayLogInAgain(error)) return this.#end(slot, Promise.reject(error))
    this.#parts.onFailure(error, slot.login.connection)
    this.#takeSlot(slot, spare, toError(error))
    this.#watch(slot)
  }

  #spareFailed(spare: Login, error: unknown): void {
    this.#failedSpares++
    this.#dropSpare(toError(error))
    const silent = [...this.#slots].filter(({ isSilent }) => isSilent)
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

  #takeSlot(slot: Slot, spare: Login, cause: Error): void {
    const former = slot.login
    former.stopLooking()
    this.#spare = undefined
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
