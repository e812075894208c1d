import type { Outage } from './server.ts'

/** The kinds of a client's messages at which a fault can be aimed. */
export type Target =
  | 'start-up'
  | 'begin'
  | 'write'
  | 'single'
  | 'shared read'
  | 'commit'
  | 'rollback'
  | 'probe'
  | 'inquiry'
  | 'anything'

/** Before the server gets a message; while it executes it; after that, before it answers. */
export type Moment = 'before' | 'meanwhile' | 'afterwards'

/** Cuts a connection. With `silence` neither side notices; with the others both do, some time later. */
export interface Cut {
  readonly do: 'cut'
  readonly how: 'fin' | 'reset' | 'silence'
  /** How many messages of the answer arrive, if there is one. */
  readonly kept: number
}

/**
 * Delays a part of a connection: its requests, its answers, or the execution in its session. A session that waits for the
 * disk can't be terminated either.
 */
export interface Stall {
  readonly do: 'stall'
  readonly what: 'requests' | 'answers' | 'session' | 'disk'
  readonly millis: number
}

/** What a fault does. */
export type Effect =
  | Cut
  | Stall
  /** `refuse BEGIN`: it isn't executed, and the session lives. */
  | { readonly do: 'terminate' | 'time out' | 'reset statistics' | 'checkpoint' | 'refuse BEGIN' }
  | { readonly do: 'go down'; readonly how: Outage; readonly downMillis: number }
  | { readonly do: 'refuse'; readonly downMillis: number }

/** A fault, and when it happens: at the n-th message of a kind. */
export interface Fault {
  readonly at: Target
  readonly nth: number
  readonly moment: Moment
  readonly effect: Effect
}

const INQUIRY = /^begin read only$|pg_xact_status|pg_terminate_backend|pg_control_checkpoint|^select wait_event/

const TARGETS: readonly (readonly [Target, RegExp])[] = [
  ['begin', /^begin\b/i],
  ['commit', /\bcommit\b/i],
  ['rollback', /^rollback$/i],
  ['write', /\bledger\b|write|audited/],
  ['single', /\(label\)|audited|as single/],
  ['shared read', /as shared/],
  ['probe', /if_assigned/],
  ['inquiry', INQUIRY],
]

/** Whether this is an inquiry about other sessions. */
export function isInquiry(text: string): boolean {
  return INQUIRY.test(text)
}

/** Finds the faults of each message. */
export class Faults {
  readonly #faults: readonly Fault[]
  readonly #counts = new Map<Target, number>()

  constructor(faults: readonly Fault[]) {
    this.#faults = faults
  }

  /** The faults of this message; undefined is the start of a connection. */
  at(text: string | undefined): readonly Fault[] {
    const targets =
      text === undefined ? ['start-up' as const] : TARGETS.filter(([, is]) => is.test(text)).map(([target]) => target)
    return [...targets, 'anything' as const].flatMap((target) => {
      const nth = (this.#counts.get(target) ?? 0) + 1
      this.#counts.set(target, nth)
      return this.#faults.filter((fault) => fault.at === target && fault.nth === nth)
    })
  }
}
