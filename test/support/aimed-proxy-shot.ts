import type { AimedLink } from './aimed-proxy-link.ts'
import { deferred } from './deferred.ts'
import type { CutKind } from './treatment.ts'

/**
 * Where, on the way of a request and its reply, an act is made:
 * - `before-forward`: the server has not got the request.
 * - `after-forward`: the proxy's kernel has taken the request on, to the last byte, and replies are held back. Whether
 *   the server has carried it out, or ever will, is open.
 * - `on-reply`: the server has carried it out, or refused to, and has said so; not one byte of that has been passed on.
 *   A reply of more than half a megabyte counts as come when that much is there.
 */
export type Point = 'before-forward' | 'after-forward' | 'on-reply'

/** What is aimed at. */
export interface Aim {
  /**
   * Matches the text of what the server is asked to run: a simple query (all of it, if it has several statements), or
   * the execution of a prepared statement, also if its text was sent long before.
   */
  readonly statement: RegExp
  /**
   * Which of the matching requests of all links, counted from the call of `aim`.
   *
   * @default 1
   */
  readonly nth?: number
  readonly point: Point
  /**
   * How long to wait for the point, in milliseconds; then nothing is aimed at any more.
   *
   * @default 20_000, like `until`
   */
  readonly timeoutMillis?: number
}

/**
 * What can be done to the link. `fin` and `rst` cut both its connections; what is held back is lost. The others make
 * black holes for good, of both directions or of one, without a notice, and the sockets stay open. What is held back when
 * the act is made is the first to be swallowed.
 */
export type NamedAct = CutKind | 'swallow' | 'swallow-requests' | 'swallow-replies'

/**
 * What is done when the point is reached. A function runs while the message is held back; then the message goes on,
 * unless the function has returned (or resolved with) the name of another act.
 */
export type Act = NamedAct | ((link: AimedLink) => unknown)

/** Why a shot was not fired; branch on it, not on the message. */
export type AimErrorCode = 'AIM_TIMED_OUT' | 'AIM_LINK_CLOSED' | 'AIM_PROXY_CLOSED'

/** What was aimed at never came. */
export class AimError extends Error {
  override readonly name = 'AimError'
  readonly code: AimErrorCode

  constructor(code: AimErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

const NAMED_ACTS: Record<NamedAct, (link: AimedLink) => void> = {
  fin: (link) => link.cut('fin'),
  rst: (link) => link.cut('rst'),
  swallow: (link) => link.swallow(),
  'swallow-requests': (link) => link.swallow('to-server'),
  'swallow-replies': (link) => link.swallow('to-client'),
}
/** As many statements as a message about a miss can have without hiding what it says. */
const STATEMENTS_TOLD = 10

/** An act that waits for its point; see {@link AimedProxy.aim}. It is made once. */
export class Shot {
  readonly point: Point
  readonly #aim: Aim
  readonly #act: Act
  readonly #fired = deferred<AimedLink>()
  readonly #timer: NodeJS.Timeout
  readonly #seen: string[] = []
  #matches = 0

  constructor(aim: Aim, act: Act) {
    const { timeoutMillis = 20_000 } = aim
    this.#aim = aim
    this.#act = act
    this.point = aim.point
    this.#timer = setTimeout(() => this.miss('AIM_TIMED_OUT', `Waited ${timeoutMillis} ms in vain`), timeoutMillis)
    void this.#fired.promise.catch(() => {}).then(() => clearTimeout(this.#timer))
  }

  /**
   * Resolves when the act has been made, with the link that it was made on; with a function as the act, when that has
   * ended.
   *
   * @throws {AimError} when the point was not reached in time, or its link or the proxy was closed before. What the
   * function threw; the message has gone on then.
   */
  get fired(): Promise<AimedLink> {
    return this.#fired.promise
  }

  /** Whether this is the text that is aimed at. To be asked once for each request. */
  takes(text: string): boolean {
    this.#seen.push(text)
    // Unlike `test`, `search` doesn't remember where a global expression matched last.
    return text.search(this.#aim.statement) !== -1 && ++this.#matches === (this.#aim.nth ?? 1)
  }

  /** Makes the act. What has a name is made before this returns. */
  async fire(link: AimedLink): Promise<void> {
    clearTimeout(this.#timer)
    try {
      const result = typeof this.#act === 'function' ? await this.#act(link) : this.#act
      if (isNamedAct(result)) NAMED_ACTS[result](link)
      this.#fired.resolve(link)
    } catch (error) {
      this.#fired.reject(error)
    }
  }

  /** It will not be fired any more; nothing happens if it was. */
  miss(code: AimErrorCode, why: string): void {
    const { statement, nth = 1, point } = this.#aim
    const seen = this.#seen.slice(-STATEMENTS_TOLD).map((text) => `\n  ${text}`)
    const counts = `${this.#matches} of ${this.#seen.length} requests matched${seen.length > 0 ? '; the last were:' : '.'}`
    this.#fired.reject(
      new AimError(code, `${why} for request ${nth} of ${statement}, ${point}. ${counts}${seen.join('')}`),
    )
  }
}

function isNamedAct(result: unknown): result is NamedAct {
  return typeof result === 'string' && Object.hasOwn(NAMED_ACTS, result)
}
