import type { Benchmark } from '../contest.ts'
import { DELAY_MILLIS, type Network, Networks } from '../read/networks.ts'
import { readContest } from '../read/read-contest.ts'
import { ORM_READERS, readersOf } from '../read/readers.ts'
import { STATEMENTS } from '../read/statements.ts'
import { THROUGHPUT } from '../run/throughput.ts'

const MAX = 10
const SMALL = 2
const CALLERS = 64

/** How many times the throughput of postgres.js, and of an ORM on `pg.Pool`, is asked of Holdfast. */
const AT_LEAST: Readonly<Record<Network['name'], Readonly<Record<'postgres-js' | 'pg-pool', number>>>> = {
  loopback: { 'postgres-js': 1, 'pg-pool': 1.5 },
  '1 ms each way': { 'postgres-js': 1.2, 'pg-pool': 3 },
}

/** Reads that return little: of a pool, and through ORMs. */
export const read: Benchmark = {
  name: 'read',
  about: `three small reads, and one row through ORMs; loopback, and TLS with ${DELAY_MILLIS} ms each way`,
  contestants: ['holdfast', 'pg-pool', 'postgres-js'],
  async stage(sliceMillis) {
    const networks = await Networks.start()
    const contests = networks.all.flatMap((network) => {
      const conditions = { network, connections: MAX, callers: CALLERS, sliceMillis }
      const atLeast = AT_LEAST[network.name]
      return [
        ...Object.entries(STATEMENTS).map(([name, statement]) =>
          readContest({
            ...conditions,
            name: `${name}, ${network.name}`,
            readers: readersOf(statement),
            goals: [{ metric: THROUGHPUT.name, peer: 'postgres-js', atLeast: atLeast['postgres-js'] }],
          }),
        ),
        ...Object.entries(ORM_READERS).map(([orm, readers]) =>
          readContest({
            ...conditions,
            name: `${orm}: one row, ${network.name}`,
            readers,
            // TypeORM leases a connection for each statement, so it has no goal.
            goals: orm === 'TypeORM' ? [] : [{ metric: THROUGHPUT.name, peer: 'pg-pool', atLeast: atLeast['pg-pool'] }],
          }),
        ),
      ]
    })
    return { contests, [Symbol.asyncDispose]: () => networks[Symbol.asyncDispose]() }
  },
}

/** The same row where connections are few and a round trip is long. */
export const smallPool: Benchmark = {
  name: 'small-pool',
  about: `one row by ${CALLERS} callers on ${SMALL} connections, over TLS with ${DELAY_MILLIS} ms each way`,
  contestants: ['holdfast', 'pg-pool', 'postgres-js'],
  async stage(sliceMillis) {
    const networks = await Networks.startSlow()
    const readers = readersOf(STATEMENTS['one row of ten columns'])
    const name = `${CALLERS} callers on ${SMALL} connections`
    const conditions = { connections: SMALL, callers: CALLERS, readers, goals: [], sliceMillis }
    return {
      contests: networks.all.map((network) => readContest({ ...conditions, name, network })),
      [Symbol.asyncDispose]: () => networks[Symbol.asyncDispose](),
    }
  },
}
