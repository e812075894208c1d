import { Connector, type ConnectorOptions } from '../../../packages/core/src/connect/connector.ts'
import { HostList } from '../../../packages/core/src/connect/host-list.ts'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import { KnownPooler } from '../../../packages/core/src/driver/known-pooler.ts'
import { Engine } from '../../../packages/core/src/engine/engine.ts'
import type { Capacity } from '../../../packages/core/src/engine/engine-context.ts'
import { ProcessGuard } from '../../../packages/core/src/guard/process-guard.ts'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/resolved-options.ts'
import type { PoolOptionsScope } from '../../../packages/core/src/runtime/pool-options-scope.ts'
import { type PoolEvent, Publisher, type Wants } from '../../../packages/core/src/telemetry/events.ts'
import { FakeServer } from '../../support/fake-client.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** What the pool sends as a ping. */
export const PING = ';'

/** One call of `acquire`, and what it has got so far. */
export class Acquisition {
  connection: Connection | undefined
  error: (Error & { code?: string }) | undefined
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** The connection that was leased; throws if none was. */
  get leased(): Connection {
    if (!this.connection) throw new Error('Nothing was leased to this caller', { cause: this.error })
    return this.connection
  }

  release(discard?: Error | boolean): void {
    this.#engine.release(this.leased, discard)
  }
}

/**
 * An engine whose clock, server and random numbers the test controls. Slots must add up in every test: the fixture counts
 * them at each event, and throws at the end if they didn't.
 */
export class EngineFixture implements Disposable {
  readonly clock = new FakeClock()
  readonly server = new FakeServer()
  /** The pid of the process, as the pool reads it. */
  pid = 100
  readonly events: PoolEvent[] = []
  readonly publisher: Publisher
  readonly engine: Engine
  readonly #max: number
  readonly #violations: string[] = []

  /** Only the events that it `wants` are kept. */
  constructor(
    options: PoolOptions = {},
    hooks: Partial<Pick<ConnectorOptions, 'onConnect' | 'verify'>> = {},
    wants: Wants = () => true,
    capacity: Capacity | undefined = undefined,
  ) {
    const resolved = resolveOptions(options)
    this.#max = resolved.max
    const { clock, server } = this
    const publisher = new Publisher(resolved.name)
    this.publisher = publisher
    publisher.subscribe((event) => {
      this.events.push(event)
      this.#count(event.type)
    }, wants)
    const guard = new ProcessGuard(clock, () => this.pid)
    const connector = new Connector(
      {
        clientConfig: () => ({ host: 'db.example', port: 5432, database: 'app' }),
        Client: server.Client,
        hosts: resolved.hosts.length > 0 ? new HostList(resolved, clock) : undefined,
        pooler: new KnownPooler(resolved.pooler),
        connectionTimeoutMillis: resolved.connectionTimeoutMillis,
        queryTimeoutMillis: resolved.queryTimeoutMillis,
        allowExitOnIdle: resolved.allowExitOnIdle,
        clientPerLease: resolved.clientPerLease,
        transactionalWrites: resolved.transactionalWrites,
        clientConnectionCheckMillis: 0,
        commits: undefined,
        onConnect: hooks.onConnect,
        verify: hooks.verify,
      },
      clock,
    )
    const interruption = (now: number) => guard.look(now)
    this.engine = new Engine({ options: resolved, connector, clock, publisher, interruption, capacity })
  }

  /** Acquires a connection. The result may be there at once. */
  acquire(options?: PoolOptionsScope): Acquisition {
    const call = new Acquisition(this.engine)
    this.engine.acquire({
      options,
      leased: (connection) => {
        call.connection = connection
      },
      failed: (error) => {
        call.error = error
      },
    })
    return call
  }

  /** Acquires so many connections. */
  acquireMany(count: number): Acquisition[] {
    return Array.from({ length: count }, () => this.acquire())
  }

  /** Acquires a connection, and waits until one was opened or pinged. */
  async lease(): Promise<Acquisition> {
    const call = this.acquire()
    await this.clock.advance(0)
    if (!call.connection) throw new Error('Nothing was leased', { cause: call.error })
    return call
  }

  /** Opens so many connections and releases them in the order of their numbers: the last is the freshest. */
  async fill(count: number): Promise<void> {
    const calls = this.acquireMany(count)
    await this.clock.advance(0)
    for (const call of calls) call.release()
  }

  /** The events of this type. */
  eventsOf(type: PoolEvent['type']): PoolEvent[] {
    return this.events.filter((event) => event.type === type)
  }

  /** Which connections were retired so far, and why. */
  get retired(): string[] {
    return this.events.flatMap((event) =>
      event.type === 'connection-retired' ? [`${event.connection.id} ${event.reason}`] : [],
    )
  }

  /** Connections opened so far. */
  get opened(): number {
    return this.eventsOf('connection-opened').length
  }

  get counts(): { total: number; idle: number; waiting: number } {
    const { inventory, waitingCount } = this.engine
    return { total: inventory.size, idle: inventory.idleCount, waiting: waitingCount }
  }

  [Symbol.dispose](): void {
    this.clock[Symbol.dispose]()
    if (this.#violations.length > 0) throw new Error(`Slots do not add up:\n${this.#violations.join('\n')}`)
  }

  #count(when: string): void {
    // The first connection may be under way before the constructor has come back.
    const { total, idle } = this.counts
    if (total > this.#max || idle > total) this.#violations.push(`${when}: ${idle} idle of ${total}, max ${this.#max}`)
  }
}
