import type { AsyncResource } from 'node:async_hooks'
import { ConnectError, noAnswer } from '../errors.ts'
import { longestLoginMillis, silenceMillis } from '../policy/backoff.ts'
import { mayConnectAgain } from '../policy/classify-error.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { afterPatience } from '../runtime/deadline.ts'
import { isInstance, toError } from '../thrown.ts'
import type { Connection } from './connection.ts'
import { LoginProgress } from './login-progress.ts'

/** So many looks at a login until it counts as silent. */
const LOOKS = 8

/** What logging in takes, and who is told how it goes. */
export interface LoginsParts {
  readonly clock: Clock
  /** How long callers wait; `Infinity` for as long as it takes. */
  readonly deadlineMillis: number
  /** Whether another login may begin beside a silent one. */
  readonly maySpareOne: boolean
  /** Makes a connection that isn't open yet, on behalf of one caller if there is one. */
  readonly make: (opener: AsyncResource | undefined) => Connection
  /** Logs it in, however long that takes. */
  readonly logIn: (connection: Connection, opener: AsyncResource | undefined) => Promise<void>
  /** Whether anybody waits for a connection. */
  readonly isWanted: () => boolean
  /** This one begins beside the others: it has no place yet. */
  readonly onSpare: (connection: Connection) => void
  /** It is of no use any more. */
  readonly onDropped: (connection: Connection, cause: Error) => void
  /** One login has failed, and the place that it was for is left to another one. */
  readonly onFailure: (error: unknown, connection: Connection) => void
  /** It is logged in, and has a place. */
  readonly onLoggedIn: (connection: Connection) => void
}

/** One login under way. */
interface Login {
  readonly connection: Connection
  readonly progress: LoginProgress
  readonly startedAt: number
  silentSince: number
  cancelLook: Cancel | undefined
}

/** What a login is for: whoever asked for a connection. */
interface Place {
  login: Login
  /** Whether another login may begin beside it. */
  isSilent: boolean
  readonly onTaken: (connection: Connection) => void
  readonly end: (outcome: Connection | undefined | Promise<never>) => void
}

/**
 * The logins under way. None is cut off because it is slow: it goes on as long as anybody wants it. Beside one that is
 * silent for too long another one begins, a single spare for all of them: whichever is ready first serves.
 */
export class Logins {
  readonly #parts: LoginsParts
  readonly #places = new Set<Place>()
  #spare: Login | undefined
  /** How many spare ones in a row have come to nothing. */
  #inVain = 0

  constructor(parts: LoginsParts) {
    this.#parts = parts
  }

  /**
   * Begins a login, on behalf of one caller if there is one, and tells who has taken its place: that one at once, the
   * spare one later if it is ready first. Resolves with the connection that is logged in; with undefined if somebody else
   * has closed it meanwhile.
   *
   * @throws {ConnectError} if the server can't be reached, or refuses.
   */
  logIn(onTaken: (connection: Connection) => void, opener?: AsyncResource): Promise<Connection | undefined> {
    return new Promise((end) => {
      const login = this.#make(opener)
      const place: Place = { login, isSilent: false, onTaken, end }
      this.#places.add(place)
      onTaken(login.connection)
      this.#start(login, opener)
      this.#watch(place)
    })
  }

  /** Somebody waits: if a login has been silent for too long, another one begins beside it. */
  hurry(): void {
    const { maySpareOne, isWanted } = this.#parts
    if (this.#places.size === 0 || this.#spare || !maySpareOne || !isWanted()) return
    if (this.#silentPlace()) inNoContext(() => this.#beginSpare())
  }

  #beginSpare(): void {
    let spare: Login
    try {
      spare = this.#make()
    } catch {
      return // A client class of the user's: that is told to whoever asks for a connection next.
    }
    this.#spare = spare
    this.#parts.onSpare(spare.connection)
    this.#start(spare)
    this.#watchSpare(spare)
  }

  #make(opener?: AsyncResource): Login {
    const connection = this.#parts.make(opener)
    const now = this.#parts.clock.now()
    connection.startedAt = now
    const progress = new LoginProgress(connection.client)
    return { connection, progress, startedAt: now, silentSince: now, cancelLook: undefined }
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

  /** A check has thrown: whoever has its place must not wait for it. */
  #giveUp(login: Login, error: unknown): void {
    const place = this.#placeOf(login)
    if (place) this.#end(place, Promise.reject(error))
    else if (login === this.#spare) this.#dropSpare(toError(error))
  }

  #watch(place: Place): void {
    const { login } = place
    this.#lookLater(login, () => {
      if (login.connection.isGone()) return this.#end(place, undefined)
      if (this.#isTooLong(login)) return this.#failedAt(place, noAnswerOf(login, this.#parts.clock.now()))
      place.isSilent = this.#isSilent(login)
      if (place.isSilent) this.hurry()
      if (this.#places.has(place) && place.login === login) this.#watch(place)
    })
  }

  #watchSpare(spare: Login): void {
    this.#lookLater(spare, () => {
      if (!this.#isSilent(spare)) return this.#watchSpare(spare)
      this.#inVain++
      this.#dropSpare(noAnswerOf(spare, this.#parts.clock.now()))
      this.hurry()
    })
  }

  #lookLater(login: Login, look: () => void): void {
    const { clock, deadlineMillis } = this.#parts
    const allowed = this.#allowed(login)
    const silent = clock.now() - login.silentSince
    const due = silent < allowed ? Math.min(allowed - silent, allowed / LOOKS) : allowed
    // Meanwhile the last waiter may have left, and with it the reason to go on.
    const pause = Math.min(due, silenceMillis(login.progress.stage, deadlineMillis, 0))
    login.cancelLook?.()
    login.cancelLook = afterPatience(clock, Math.ceil(pause), 'nothing', look)
  }

  #isSilent(login: Login): boolean {
    const now = this.#parts.clock.now()
    if (login.progress.look()) login.silentSince = now
    return now - login.silentSince >= this.#allowed(login)
  }

  #loggedIn(login: Login): void {
    login.cancelLook?.()
    const own = this.#placeOf(login)
    if (own?.login.connection.isGone()) return this.#end(own, undefined)
    if (login === this.#spare) this.#servesInstead(login)
    else if (own) this.#succeed(own)
  }

  #succeed(place: Place): void {
    this.#inVain = 0
    const { connection } = place.login
    this.#parts.onLoggedIn(connection)
    this.#end(place, connection)
  }

  /** The spare one is ready before one that was begun earlier. */
  #servesInstead(spare: Login): void {
    const place = this.#silentPlace() ?? this.#livePlace()
    if (!place) return this.#dropSpare(unneeded())
    this.#take(place, spare, noAnswerOf(place.login, this.#parts.clock.now()))
    this.#succeed(place)
  }

  #failed(login: Login, error: unknown): void {
    const place = this.#placeOf(login)
    if (place?.login.connection.isGone()) this.#end(place, undefined)
    else if (place) this.#failedAt(place, error)
    else if (login === this.#spare) this.#spareFailed(login, error)
  }

  /** A refusal that won't pass is for all; any other leaves the place to the spare one, if there is one. */
  #failedAt(place: Place, error: unknown): void {
    const spare = this.#spare
    if (!spare || !passes(error)) return this.#end(place, Promise.reject(error))
    this.#parts.onFailure(error, place.login.connection)
    this.#take(place, spare, toError(error))
    this.#watch(place)
  }

  #spareFailed(spare: Login, error: unknown): void {
    this.#inVain++
    this.#dropSpare(toError(error))
    const silent = [...this.#places].filter(({ isSilent }) => isSilent)
    // Whoever isn't let in at all won't fare better than the one that was told so.
    const refused = passes(error)
      ? silent.filter(({ login }) => login.progress.stage === 'unreached')
      : silent.slice(0, 1)
    if (refused.length === 0) this.#parts.onFailure(error, spare.connection)
    // The others are given time before the next one.
    for (const place of this.#places) {
      place.isSilent = false
      place.login.silentSince = this.#parts.clock.now()
      this.#watch(place)
    }
    for (const place of refused) this.#end(place, Promise.reject(error))
  }

  #take(place: Place, spare: Login, cause: Error): void {
    const former = place.login
    former.cancelLook?.()
    this.#spare = undefined
    spare.cancelLook?.()
    place.login = spare
    place.isSilent = false
    // The place is free before another takes it.
    this.#parts.onDropped(former.connection, cause)
    place.onTaken(spare.connection)
  }

  #end(place: Place, outcome: Connection | undefined | Promise<never>): void {
    place.login.cancelLook?.()
    this.#places.delete(place)
    if (!this.#livePlace() && this.#spare) this.#dropSpare(unneeded())
    place.end(outcome)
  }

  #dropSpare(cause: Error): void {
    const spare = this.#spare as Login
    this.#spare = undefined
    spare.cancelLook?.()
    this.#parts.onDropped(spare.connection, cause)
  }

  /** No single caller could wait so long; or nobody waits, and nothing was heard. */
  #isTooLong(login: Login): boolean {
    const { clock, deadlineMillis, isWanted } = this.#parts
    const wanted = isWanted()
    if (deadlineMillis === Number.POSITIVE_INFINITY && wanted) return false
    return clock.now() - login.startedAt >= longestLoginMillis(login.progress.stage, deadlineMillis, wanted)
  }

  #allowed(login: Login): number {
    const before = this.#inVain + (login === this.#spare ? 1 : 0)
    return silenceMillis(login.progress.stage, this.#parts.deadlineMillis, before)
  }

  #placeOf(login: Login): Place | undefined {
    for (const place of this.#places) if (place.login === login) return place
    return undefined
  }

  #silentPlace(): Place | undefined {
    for (const place of this.#places) if (place.isSilent && !place.login.connection.isGone()) return place
    return undefined
  }

  #livePlace(): Place | undefined {
    for (const place of this.#places) if (!place.login.connection.isGone()) return place
    return undefined
  }
}

function noAnswerOf({ connection, startedAt }: Login, now: number): ConnectError {
  return new ConnectError(connection.endpoint, noAnswer(now - startedAt))
}

function unneeded(): Error {
  return new Error('Another login was ready first')
}

function passes(error: unknown): boolean {
  return mayConnectAgain(isInstance(error, ConnectError) ? error.cause : error, true)
}
