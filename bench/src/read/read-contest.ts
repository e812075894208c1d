import type { Contest, Contestant, Goal } from '../contest.ts'
import { CPU_TIME, THROUGHPUT, throughputOf } from '../run/throughput.ts'
import type { Network } from './networks.ts'
import type { MakeReader } from './readers.ts'
import { ITEMS } from './statements.ts'

/** What is read, how, and by how many. */
export interface ReadContest {
  readonly name: string
  readonly network: Network
  readonly connections: number
  readonly callers: number
  readonly readers: Readonly<Partial<Record<Contestant['name'], MakeReader>>>
  readonly goals: readonly Goal[]
  readonly sliceMillis: number
}

/** Callers that read, each again as soon as it has its result. */
export function readContest(contest: ReadContest): Contest {
  const { name, network, connections, callers, readers, goals, sliceMillis } = contest
  const contestants = Object.entries(readers).map(([contestant, make]): Contestant => {
    return {
      name: contestant as Contestant['name'],
      async enter() {
        const reader = await make(network.config, connections)
        return throughputOf({
          async caller(turns) {
            while (turns.next()) await reader.read(turns.count % ITEMS)
          },
          callers,
          sliceMillis,
          close: () => reader.close(),
        })
      },
    }
  })
  return { name, metrics: [THROUGHPUT, CPU_TIME], contestants, goals }
}
