import type { Fault } from '../../faults/fault.ts'
import type { Audit } from '../../truth/audit.ts'
import type { Pending } from '../../workload/journal.ts'
import type { Operation } from '../../workload/operation.ts'
import type { Sample } from '../program/messages.ts'

/** What could be seen in one second, whatever was going on. */
export interface Second {
  readonly at: number
  readonly sample: Sample | undefined
  /** Connections that the process has to the network in front of the server. */
  readonly sockets: number
  /** What the server lists; undefined while it could not be asked. */
  readonly sessions: number | undefined
}

/** What the pools, the process and the server say of the same connections. */
export interface Books {
  readonly connections: number
  readonly sockets: number
  readonly sessions: number
}

/** What is left when a fault is over, the network works, and no caller runs. */
export interface CalmPoint {
  readonly fault: Fault
  readonly at: number
  /** Operations that were still without an outcome. */
  readonly pending: readonly Pending[]
  /** What the callers of those were doing, if it was no plain work. */
  readonly habits: readonly string[]
  /** How many connections could be in use at one time, out of the pool's `max`. */
  readonly usableSlots: number
  /** With the idle connections open. */
  readonly books: Books
  /** With all of them let go, and the garbage collected. */
  readonly sample: Sample
  /** Still open then. */
  readonly left: Books
}

/** How the soaked process ended, after its pools were asked to. */
export interface End {
  readonly sample: Sample
  readonly left: Omit<Books, 'connections'>
  readonly endedByItself: boolean
  readonly audit: Audit
  readonly balancesAreRight: boolean
}

/** Everything observed in one soak. Nothing in here is computed: that is for `results/`. */
export interface SoakRecord {
  readonly seed: number
  readonly minutes: number
  startedAt: number
  endedAt: number
  server: string
  readonly seconds: Second[]
  readonly calmPoints: CalmPoint[]
  /** Those that wrote. */
  readonly operations: Operation[]
  /** How often each error was seen, by name and code. */
  readonly errors: Map<string, number>
  /** Errors that say of themselves that they are a bug. */
  readonly bugs: Set<string>
  /** What Node itself warned of. */
  readonly warnings: Set<string>
  /** What the process wrote last, if it died, or why it was given up. */
  crash: string | undefined
  /** Undefined if it did not come to that. */
  end: End | undefined
}

/** An empty record. */
export function emptySoakRecord({ seed, minutes }: { readonly seed: number; readonly minutes: number }): SoakRecord {
  return {
    seed,
    minutes,
    startedAt: 0,
    endedAt: 0,
    server: 'PostgreSQL of unknown version',
    seconds: [],
    calmPoints: [],
    operations: [],
    errors: new Map(),
    bugs: new Set(),
    warnings: new Set(),
    crash: undefined,
    end: undefined,
  }
}
