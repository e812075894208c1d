import type { Downfall } from './server.ts'

/** What a message of the client's is to whoever aims at it. */
export type Target = 'start-up' | 'begin' | 'write' | 'commit' | 'rollback' | 'probe' | 'inquiry' | 'anything'

/** Just before the server gets a message; while it is at work on it; when it is done with it and hasn't answered. */
export type Moment = 'before' | 'meanwhile' | 'afterwards'

/** What goes wrong with one connection. Silence is known to neither side, the others, in their time, to both. */
export interface Cut {
  readonly do: 'cut'
  readonly how: 'fin' | 'reset' | 'silence'
  /** How many messages of the answer come through, if it was to be answered. */
  readonly kept: number
}

/**
 * What is held up for a while, of one connection: what is sent next, what its session has to say, what that is at; or the
 * disk that it waits for, in which it can't be terminated either.
 */
export interface Stall {
  readonly do: 'stall'
  readonly what: 'requests' | 'answers' | 'session' | 'disk'
  readonly millis: number
}

/** What goes wrong. */
export type Trouble =
  | Cut
  | Stall
  | { readonly do: 'terminate' | 'reset statistics' | 'checkpoint' }
  | { readonly do: 'fall'; readonly how: Downfall; readonly downMillis: number }
  | { readonly do: 'refuse'; readonly downMillis: number }

/** What goes wrong, and when: at the n-th message of a kind. */
export interface Mishap {
  readonly at: Target
  readonly nth: number
  readonly moment: Moment
  readonly trouble: Trouble
}

const INQUIRY = /^begin read only$|pg_xact_status|pg_terminate_backend|pg_control_checkpoint|^select wait_event/

const TARGETS: readonly (readonly [Target, RegExp])[] = [
  ['begin', /^begin$/i],
  ['commit', /\bcommit\b/i],
  ['rollback', /^rollback$/i],
  ['write', /\bledger\b|write/],
  ['probe', /if_assigned/],
  ['inquiry', INQUIRY],
]

/** Whether this asks what became of others. */
export function isInquiry(text: string): boolean {
  return INQUIRY.test(text)
}

/** Knows what goes wrong with which message. */
export class Mishaps {
  readonly #mishaps: readonly Mishap[]
  readonly #counts = new Map<Target, number>()

  constructor(mishaps: readonly Mishap[]) {
    this.#mishaps = mishaps
  }

  /** What is due with this message; undefined is the beginning of a connection. */
  at(text: string | undefined): readonly Mishap[] {
    const targets =
      text === undefined ? ['start-up' as const] : TARGETS.filter(([, is]) => is.test(text)).map(([target]) => target)
    return [...targets, 'anything' as const].flatMap((target) => {
      const nth = (this.#counts.get(target) ?? 0) + 1
      this.#counts.set(target, nth)
      return this.#mishaps.filter((mishap) => mishap.at === target && mishap.nth === nth)
    })
  }
}
