import { Cluster } from '@holdfast/test/support'
import type { ClientConfig } from 'pg'
import type { Benchmark, Contest, Contestant, Goal } from '../contest.ts'
import { FarServer } from '../network/far-server.ts'
import { type MakeReader, ORM_READERS, readersOf } from '../read/readers.ts'
import { ITEMS, makeTables, STATEMENTS } from '../read/statements.ts'
import { CPU_TIME, THROUGHPUT, throughputOf } from '../run/throughput.ts'

const MAX = 10
const SMALL = 2
const CALLERS = 64
const DELAY_MILLIS = 1

/** How the server is reached, and what is asked of Holdfast there. */
interface Network {
  readonly name: string
  readonly config: ClientConfig
  /** How many times the throughput of postgres.js, and of an ORM on `pg.Pool`. */
  readonly atLeast: Readonly<Record<'postgres-js' | 'pg-pool', number>>
}

/** Reads that return little: of a pool, and through ORMs. */
export const read: Benchmark = {
  name: 'read',
  about: `three small reads, and one row through ORMs; loopback, and TLS with ${DELAY_MILLIS} ms each way`,
  contestants: ['holdfast', 'pg-pool', 'postgres-js'],
  async stage(sliceMillis) {
    const { networks, dispose } = await startServers()
    const contests = networks.flatMap((network) => [
      ...Object.entries(STATEMENTS).map(([name, statement]) =>
        contest({
          name: `${name}, ${network.name}`,
          network,
          max: MAX,
          readers: readersOf(statement),
          goals: [{ metric: THROUGHPUT.name, peer: 'postgres-js', atLeast: network.atLeast['postgres-js'] }],
          sliceMillis,
        }),
      ),
      ...Object.entries(ORM_READERS).map(([orm, readers]) =>
        contest({
          name: `${orm}: one row, ${network.name}`,
          network,
          max: MAX,
          readers,
          // TypeORM leases a connection for each statement, so it has no goal.
          goals:
            orm === 'TypeORM'
              ? []
              : [{ metric: THROUGHPUT.name, peer: 'pg-pool', atLeast: network.atLeast['pg-pool'] }],
          sliceMillis,
        }),
      ),
    ])
    return { contests, [Symbol.asyncDispose]: dispose }
  },
}

/** The same row where connections are few and a round trip is long. */
export const smallPool: Benchmark = {
  name: 'small-pool',
  about: `one row by ${CALLERS} callers on ${SMALL} connections, over TLS with ${DELAY_MILLIS} ms each way`,
  contestants: ['holdfast', 'pg-pool', 'postgres-js'],
  async stage(sliceMillis) {
    const server = await FarServer.start(DELAY_MILLIS, makeTables)
    const network = networkOf(server)
    const readers = readersOf(STATEMENTS['one row of ten columns'])
    const name = `${CALLERS} callers on ${SMALL} connections`
    return {
      contests: [contest({ name, network, max: SMALL, readers, goals: [], sliceMillis })],
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  },
}

async function startServers(): Promise<{ networks: readonly Network[]; dispose: () => Promise<void> }> {
  const near = await Cluster.start({ tls: false })
  try {
    await makeTables(near)
    const far = await FarServer.start(DELAY_MILLIS, makeTables)
    const loopback = { name: 'loopback', config: near.config(), atLeast: { 'postgres-js': 1, 'pg-pool': 1.5 } }
    return {
      networks: [loopback, networkOf(far)],
      dispose: async () => {
        await far[Symbol.asyncDispose]()
        await near[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await near[Symbol.asyncDispose]()
    throw error
  }
}

function networkOf({ cluster, proxy }: FarServer): Network {
  return {
    name: `${DELAY_MILLIS} ms each way`,
    config: cluster.config(proxy.address),
    atLeast: { 'postgres-js': 1.2, 'pg-pool': 3 },
  }
}

interface ReadContest {
  readonly name: string
  readonly network: Network
  readonly max: number
  readonly readers: Readonly<Partial<Record<Contestant['name'], MakeReader>>>
  readonly goals: readonly Goal[]
  readonly sliceMillis: number
}

function contest({ name, network, max, readers, goals, sliceMillis }: ReadContest): Contest {
  const contestants = Object.entries(readers).map(([contestant, make]): Contestant => {
    return {
      name: contestant as Contestant['name'],
      async enter() {
        const reader = await make(network.config, max)
        return throughputOf({
          async caller(turns) {
            while (turns.next()) await reader.read(turns.count % ITEMS)
          },
          callers: CALLERS,
          sliceMillis,
          close: () => reader.close(),
        })
      },
    }
  })
  return { name, metrics: [THROUGHPUT, CPU_TIME], contestants, goals }
}
