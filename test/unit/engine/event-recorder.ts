import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import type { ResolvedOptions } from '../../../packages/core/src/options/resolved-options.ts'
import type { PoolEvent } from '../../../packages/core/src/telemetry/events.ts'
import type { EngineFixture } from './engine-fixture.ts'
import { checkLease, checkRetirement } from './event-checks.ts'
import type { PrintableOptions, ResetName } from './interleavings.ts'
import type { SimulatedCaller } from './simulated-caller.ts'

/** The state in which a lease ended. It decides what must be sent before the next one. */
export interface ResetFacts {
  readonly policy: ResetName
  readonly status: 'I' | 'T' | 'E' | 'unknown'
  readonly hasWorked: boolean
  /** How many statements the server had received. */
  readonly received: number
  /** How often the user's reset function had been called. */
  readonly resetCalls: number
}

/**
 * Records the events of a pool and what its callers get, independently of the pool's own counts: who waits, who holds which
 * connection, which ones are invalid. It collects violations instead of throwing, since an exception would change the pool.
 */
export class EventRecorder {
  readonly fixture: EngineFixture
  readonly options: ResolvedOptions
  readonly given: PrintableOptions
  readonly violations: string[] = []
  readonly callers: SimulatedCaller[] = []
  /** The callers that wait, in order of arrival. */
  readonly queue: SimulatedCaller[] = []
  /** The callers whose lease was published, and that will be told next. */
  readonly granted = new Set<SimulatedCaller>()
  readonly holders = new Map<Connection, SimulatedCaller>()
  /** When each was opened. */
  readonly opened = new Map<Connection, number>()
  readonly retired = new Set<Connection>()
  readonly closed = new Set<Connection>()
  /** These may not be leased any more. */
  readonly invalid = new Set<Connection>()
  /** Suspect since the server had received so many statements; `lostAt` if that is because another one was lost then. */
  readonly suspect = new Map<Connection, { readonly received: number; readonly lostAt: number | undefined }>()
  readonly resetFacts = new Map<Connection, ResetFacts>()
  readonly resetCalls = new Map<unknown, number>()
  /** Whose sockets are left open on purpose, by their numbers. */
  readonly abandoned = new Set<number>()
  /** When a connection was first seen to have left the pool, by its number. */
  readonly leftAt = new Map<number, number>()
  readonly overdue = new Set<SimulatedCaller>()
  readonly disposals: { readonly since: number; isOver: boolean }[] = []
  interruptions = 0
  lastFailureAt: number = Number.NEGATIVE_INFINITY
  closedAt: number | undefined

  constructor(fixture: EngineFixture, options: ResolvedOptions, given: PrintableOptions) {
    this.fixture = fixture
    this.options = options
    this.given = given
  }

  invalidateAll(): void {
    for (const connection of this.opened.keys()) this.invalid.add(connection)
  }

  invalidateOlder(generation: number): void {
    for (const connection of this.opened.keys()) if (connection.generation < generation) this.invalid.add(connection)
  }

  /** From now on each open connection must be sent something before it is leased, or must have answered since a loss. */
  suspectAll(lostAt?: number): void {
    for (const connection of this.opened.keys())
      this.suspect.set(connection, { received: this.fixture.server.backend(connection.id).received.length, lostAt })
  }

  record(event: PoolEvent): void {
    const connection = 'connection' in event ? (event.connection as Connection) : undefined
    if (connection) this.#recordConnection(connection, event)
    else if (event.type === 'connect-failed') this.lastFailureAt = this.fixture.clock.now()
    else if (event.type === 'pool-invalidated') this.invalidateOlder(event.generation)
    else if (event.type === 'process-changed' || event.type === 'process-suspended') this.#recordProcess(event.type)
  }

  #recordConnection(connection: Connection, event: PoolEvent): void {
    const { violations } = this
    if (event.type === 'connection-opened') {
      this.opened.set(connection, this.fixture.clock.now())
    } else if (event.type === 'connection-leased') {
      const caller = this.queue.shift()
      if (!caller) return
      checkLease(this, caller, connection)
      this.granted.add(caller)
    } else if (event.type === 'connection-pinged' || event.type === 'connection-reset') {
      // An answer that arrives after the suspension counts: it may have lain in the socket.
      this.suspect.delete(connection)
      if (this.retired.has(connection))
        violations.push(`connection ${connection.id} was reported as alive after it was retired`)
    } else if (event.type === 'connection-retired') {
      if (this.retired.has(connection)) violations.push(`connection ${connection.id} was retired twice`)
      this.retired.add(connection)
      checkRetirement(this, connection, event.reason)
    } else if (event.type === 'connection-closed') {
      if (this.closed.has(connection)) violations.push(`connection ${connection.id} was closed twice`)
      this.closed.add(connection)
    } else if (event.type === 'connection-leak-suspected') {
      const caller = this.holders.get(connection)
      if (!caller) violations.push('a lease without a holder was reported as overdue')
      else if (this.overdue.has(caller)) violations.push('a lease was reported as overdue twice')
      else this.overdue.add(caller)
    }
  }

  #recordProcess(type: 'process-changed' | 'process-suspended'): void {
    const { engine } = this.fixture
    this.interruptions++
    if (type === 'process-changed') {
      for (const { id } of [...engine.inventory.all(), ...engine.inventory.asides]) this.abandoned.add(id)
      this.invalidateAll()
      return
    }
    this.suspectAll()
  }
}
