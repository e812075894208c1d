import { Cluster } from '@holdfast/test/support'
import type { ClientConfig } from 'pg'
import type { Benchmark, Contest, Contestant, Entrant, Metric, Sample } from '../contest.ts'
import { textsToPrepare, type WeighedSession, weighSession } from '../memory/on-server.ts'
import type { WeighCommand, Weights } from '../memory/sample.ts'
import { weigh } from '../memory/weigh.ts'
import { makeTables } from '../read/statements.ts'

const CONNECTIONS = 1000
const WAITERS = 10_000
/** As many as Holdfast prepares for a connection at most, by default. */
const NAMES = 100

const CONNECTION: Metric = { name: 'an idle connection', unit: 'bytes', better: 'less' }
const OWN_SHARE: Metric = { name: 'of which the pool holds', unit: 'bytes', better: 'less' }
const WAITER: Metric = { name: 'a waiter', unit: 'bytes', better: 'less' }
const SESSION: Metric = { name: 'a session', unit: 'bytes', better: 'less' }

const WEIGHED: readonly WeighCommand['contestant'][] = ['holdfast', 'pg-pool']
const SESSIONS: readonly WeighedSession[] = ['holdfast', 'pg-pool', 'postgres-js']

/** What is held while it exists: on the heap, and on the server. */
export const memory: Benchmark = {
  name: 'memory',
  about: `bytes per idle connection and per waiter, and on the server with ${NAMES} statements`,
  contestants: SESSIONS,
  async stage() {
    const cluster = await Cluster.start({ tls: false })
    try {
      await makeTables(cluster)
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
    return {
      contests: [onHeap(), onServer(cluster.config())],
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    }
  },
}

function onHeap(): Contest {
  const contestants = WEIGHED.map((name): Contestant => {
    return weighing(name, async () =>
      sampleOf(await weigh({ contestant: name, connections: CONNECTIONS, waiters: WAITERS })),
    )
  })
  // The heap is the same each time, except for some hundred bytes in total, and each process is a new one.
  return { name: 'heap', metrics: [CONNECTION, OWN_SHARE, WAITER], contestants, goals: [], isSteady: true }
}

function onServer(config: ClientConfig): Contest {
  const texts = textsToPrepare(NAMES)
  const contestants = SESSIONS.map((name) =>
    weighing(name, async () => ({ [SESSION.name]: await weighSession(name, config, texts) })),
  )
  const name = `on the server, ${NAMES} statements`
  return { name, metrics: [SESSION], contestants, goals: [], isSteady: true }
}

function weighing(name: Contestant['name'], measure: () => Promise<Sample>): Contestant {
  const entrant: Entrant = { measure, async [Symbol.asyncDispose]() {} }
  return { name, enter: async () => entrant }
}

function sampleOf({ bareClient, idleConnection, waiter }: Weights): Sample {
  return {
    [CONNECTION.name]: idleConnection,
    [OWN_SHARE.name]: idleConnection - bareClient,
    [WAITER.name]: waiter,
  }
}
