import { vi } from 'vitest'
import { Connector, type ConnectorOptions } from '../../../packages/core/src/connect/connector.ts'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import { FakeServer } from '../../support/fake-client.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** A connection to a fake server, with a clock that the test moves. */
export interface Fixture extends Disposable {
  readonly clock: FakeClock
  readonly server: FakeServer
  readonly connection: Connection
  /** Told when the connection is lost. */
  readonly lost: ReturnType<typeof vi.fn>
}

/** Begins to open a connection. It is open once the clock has advanced by 0. */
export function prepare(options: Partial<ConnectorOptions> = {}): Fixture {
  const clock = new FakeClock()
  const server = new FakeServer()
  const connector = new Connector(
    {
      clientConfig: () => ({}),
      Client: server.Client,
      connectionTimeoutMillis: 30_000,
      queryTimeoutMillis: Number.POSITIVE_INFINITY,
      allowExitOnIdle: false,
      clientPerLease: true,
      transactionalWrites: false,
      clientConnectionCheckMillis: 0,
      commits: undefined,
      onConnect: undefined,
      verify: undefined,
      ...options,
    },
    clock,
  )
  const lost = vi.fn()
  const connection = connector.make({ onLost: lost, onReleased: () => {}, onFirstFailed: () => false })
  void connector
    .logIn(connection)
    .then(() => connector.runHooks(connection))
    .catch(() => {})
  return { clock, server, connection, lost, [Symbol.dispose]: () => clock[Symbol.dispose]() }
}

/** A connection that is open, and not leased. */
export async function open(options?: Partial<ConnectorOptions>): Promise<Fixture> {
  const fixture = prepare(options)
  await fixture.clock.advance(0)
  return fixture
}

/** A connection that is leased. */
export async function leased(options?: Partial<ConnectorOptions>): Promise<Fixture> {
  const fixture = await open(options)
  fixture.connection.startLease(fixture.clock.now())
  return fixture
}
