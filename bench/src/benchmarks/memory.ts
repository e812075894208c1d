import { type Benchmark, type Contestant, emptyStage, type Metric } from '../contest.ts'
import type { WeighCommand, Weights } from '../memory/sample.ts'
import { weigh } from '../memory/weigh.ts'

const CONNECTIONS = 1000
const WAITERS = 10_000

const CONNECTION: Metric = { name: 'an idle connection', unit: 'bytes', better: 'less' }
const OWN_SHARE: Metric = { name: 'of which the pool holds', unit: 'bytes', better: 'less' }
const WAITER: Metric = { name: 'a waiter', unit: 'bytes', better: 'less' }

const WEIGHED: readonly WeighCommand['contestant'][] = ['holdfast', 'pg-pool']

/** What is measured on the heap while it exists. */
export const memory: Benchmark = {
  name: 'memory',
  about: 'bytes held per idle connection and per waiter',
  contestants: WEIGHED,
  async stage() {
    const contestants = WEIGHED.map((name): Contestant => {
      return {
        name,
        async enter() {
          return {
            measure: async () =>
              sampleOf(await weigh({ contestant: name, connections: CONNECTIONS, waiters: WAITERS })),
            async [Symbol.asyncDispose]() {},
          }
        },
      }
    })
    // The heap is the same each time, except for some hundred bytes in total, and each process is a new one.
    const contest = { name: 'heap', metrics: [CONNECTION, OWN_SHARE, WAITER], contestants, goals: [], isSteady: true }
    return emptyStage([contest])
  },
}

function sampleOf({ bareClient, idleConnection, waiter }: Weights): Readonly<Record<string, number>> {
  return {
    [CONNECTION.name]: idleConnection,
    [OWN_SHARE.name]: idleConnection - bareClient,
    [WAITER.name]: waiter,
  }
}
