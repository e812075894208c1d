import type { ResolverSession } from '../commit/resolver.ts'
import type { Row } from '../commit/server-report.ts'
import { afterPatience, type Cancel, type Clock, withinPatience } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'

/** If an idle connection of the pool hasn't answered by then, it may be dead, too. In milliseconds. */
const HEDGE_MILLIS = 250
/** How long its own session stays open without a question, in milliseconds. */
const UNUSED_MILLIS = 60_000
const CLOSE_MILLIS = 1000

/** A session beside the pool's connections. */
export interface SessionAside extends ResolverSession {
  /** Closes the socket of this process, and tells the server nothing. */
  readonly destroy: () => void
}

/** What asking takes. */
export interface AskingParts {
  readonly clock: Clock
  /** How long the server may take to answer. */
  readonly timeoutMillis: number
  /** Asks over an idle connection of the pool; undefined if there is none. */
  readonly askIdle: (sql: string, timeoutMillis: number) => Promise<readonly Row[]> | undefined
  /** Opens a session beside the pool's connections. */
  readonly openSession: () => Promise<SessionAside>
}

/**
 * The session in which the watch asks: an idle connection of the pool, else one of its own beside `max`. Its own one is opened
 * when it is first needed, and closed when it has been unused for a minute.
 */
export class AskingSession {
  readonly #parts: AskingParts
  #own: SessionAside | undefined
  #opening: Promise<SessionAside> | undefined
  #usedAt = 0
  #cancelClose: Cancel | undefined
  #generation = 0

  constructor(parts: AskingParts) {
    this.#parts = parts
  }

  /**
   * Asks, and resolves with the rows of the first answer. `how`: in its own session only, since the user's hooks may have
   * taken privileges from the pool's connections.
   */
  ask(sql: string, how: 'any' | 'own'): Promise<readonly Row[]> {
    return inNoContext(() => this.#ask(sql, how))
  }

  /** Closes its own session. The next question opens another. */
  close(): void {
    const own = this.#forget()
    own?.close(CLOSE_MILLIS)
  }

  /** Lets go of its own session, which another process may have, too. */
  abandon(): void {
    this.#forget()?.destroy()
  }

  async #ask(sql: string, how: 'any' | 'own'): Promise<readonly Row[]> {
    const { timeoutMillis, askIdle } = this.#parts
    const idle = this.#own || how === 'own' ? undefined : askIdle(sql, timeoutMillis)
    if (!idle) return await this.#askOwn(sql)
    return await this.#hedged(idle, () => this.#askOwn(sql))
  }

  /** The first answer counts. The second question is asked when the first has failed, or isn't answered soon. */
  #hedged(first: Promise<readonly Row[]>, askSecond: () => Promise<readonly Row[]>): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      let second: Promise<readonly Row[]> | undefined
      const begin = (): Promise<readonly Row[]> => {
        cancel()
        second ??= askSecond()
        return second
      }
      const cancel = afterPatience(
        this.#parts.clock,
        HEDGE_MILLIS,
        'nothing',
        () => void begin().then(resolve, () => {}),
      )
      first.then(
        (rows) => {
          cancel()
          resolve(rows)
        },
        () => void begin().then(resolve, reject),
      )
    })
  }

  async #askOwn(sql: string): Promise<readonly Row[]> {
    const { clock, timeoutMillis } = this.#parts
    const own = this.#own ?? (await this.#open())
    this.#usedAt = clock.now()
    try {
      return await own.ask(sql, timeoutMillis)
    } catch (error) {
      if (this.#own === own) this.close()
      throw error
    }
  }

  /** A session that is opened too late serves the next question. */
  #open(): Promise<SessionAside> {
    const { clock, timeoutMillis, openSession } = this.#parts
    const generation = this.#generation
    this.#opening ??= openSession().then(
      (session) => {
        if (generation === this.#generation) this.#keep(session)
        else session.close(CLOSE_MILLIS)
        return session
      },
      (error: unknown) => {
        if (generation === this.#generation) this.#opening = undefined
        throw error
      },
    )
    const late = (): Error => new Error(`No session within ${timeoutMillis} ms`)
    return withinPatience(clock, timeoutMillis, this.#opening, late)
  }

  #keep(session: SessionAside): void {
    this.#own = session
    this.#opening = undefined
    this.#usedAt = this.#parts.clock.now()
    this.#closeLater(UNUSED_MILLIS)
  }

  #closeLater(millis: number): void {
    const { clock } = this.#parts
    this.#cancelClose = clock.schedule(
      millis,
      () => {
        const unusedMillis = clock.now() - this.#usedAt
        if (unusedMillis >= UNUSED_MILLIS) this.close()
        else this.#closeLater(UNUSED_MILLIS - unusedMillis)
      },
      'nothing',
    )
  }

  #forget(): SessionAside | undefined {
    const own = this.#own
    this.#generation++
    this.#cancelClose?.()
    this.#own = undefined
    this.#opening = undefined
    return own
  }
}
