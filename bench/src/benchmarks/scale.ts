import type { Benchmark, Contest } from '../contest.ts'
import { Networks } from '../read/networks.ts'
import { readContest } from '../read/read-contest.ts'
import { readersOf } from '../read/readers.ts'
import { STATEMENTS } from '../read/statements.ts'

const CALLERS = [1, 3, 10, 30, 100, 300, 1000]
const CONNECTIONS = [1, 2, 5, 10, 20, 50]
const USUAL = { callers: 100, connections: 10 }
const WHAT = {
  callers: `callers, on ${USUAL.connections} connections`,
  connections: `connections, for ${USUAL.callers} callers`,
}

/** What grows from contest to contest. */
export type Growing = keyof typeof USUAL

/** One contest of these: on which network, and how many callers or connections. */
export interface ScalePoint {
  readonly network: string
  readonly size: number
}

/** The point that a contest of this name measures. */
export function scalePointOf(contest: string): ScalePoint {
  const [network = '', size] = contest.split(': ')
  return { network, size: Number(size) }
}

function nameOf({ network, size }: ScalePoint): string {
  return `${network}: ${size}`
}

/** How a row by its key scales: with the callers, and with the connections. They aren't among the usual benchmarks. */
export const SCALES: Readonly<Record<Growing, Benchmark>> = {
  callers: scale('callers', CALLERS),
  connections: scale('connections', CONNECTIONS),
}

function scale(growing: Growing, sizes: readonly number[]): Benchmark {
  return {
    name: WHAT[growing],
    about: `one row by its key, with ${sizes[0]} to ${sizes.at(-1)} ${growing}`,
    contestants: ['holdfast', 'pg-pool', 'postgres-js'],
    async stage(sliceMillis) {
      const networks = await Networks.start()
      const readers = readersOf(STATEMENTS['one row of ten columns'])
      const contests = networks.all.flatMap((network) =>
        sizes.map((size): Contest => {
          const name = nameOf({ network: network.name, size })
          return readContest({ ...USUAL, [growing]: size, name, network, readers, goals: [], sliceMillis })
        }),
      )
      return { contests, [Symbol.asyncDispose]: () => networks[Symbol.asyncDispose]() }
    },
  }
}
