import { Pool } from '@holdfast/core'
import genericPool from 'generic-pool'
import pg from 'pg'
import { Pool as TarnPool } from 'tarn'
import { type Benchmark, type Contest, type Contestant, emptyStage, type Goal } from '../contest.ts'
import { THROUGHPUT, throughputOf } from '../run/throughput.ts'
import type { Caller } from '../run/turns.ts'
import { scriptedClient } from '../scripted/client.ts'

const MAX = 10
const ScriptedClient = scriptedClient()

// For the pool alone. With waiters, the promise of each costs as much as the pool, and the same for all contestants.
const GOALS: readonly Goal[] = [{ metric: THROUGHPUT.name, peer: 'pg-pool', atLeast: 3 }]

/** A pool, and how to acquire a client and release it without using it. */
interface Acquirer {
  readonly caller: Caller
  readonly close: () => Promise<unknown>
}

const ACQUIRERS = { holdfast, 'pg-pool': pgPool, tarn, 'generic-pool': generic } as const

/** What the pool itself costs, each time. */
export const acquire: Benchmark = {
  name: 'acquire',
  about: 'acquire and release, on clients without a server',
  contestants: Object.keys(ACQUIRERS) as (keyof typeof ACQUIRERS)[],
  async stage(sliceMillis) {
    return emptyStage([
      contest('one caller', 1, sliceMillis),
      contest(`64 callers on ${MAX} connections`, 64, sliceMillis),
    ])
  },
}

function contest(name: string, callers: number, sliceMillis: number): Contest {
  const contestants = (Object.keys(ACQUIRERS) as (keyof typeof ACQUIRERS)[]).map((contestant): Contestant => {
    return {
      name: contestant,
      async enter() {
        return throughputOf({ ...ACQUIRERS[contestant](), callers, sliceMillis })
      },
    }
  })
  return { name, metrics: [THROUGHPUT], contestants, goals: callers === 1 ? GOALS : [] }
}

function holdfast(): Acquirer {
  return connecting(new Pool({ Client: ScriptedClient, max: MAX }))
}

function pgPool(): Acquirer {
  return connecting(new pg.Pool({ Client: ScriptedClient, max: MAX }))
}

/** Every contestant with the API of pg runs the same code. */
function connecting(pool: pg.Pool): Acquirer {
  return {
    async caller(turns) {
      while (turns.next()) {
        const client = await pool.connect()
        client.release()
      }
    },
    close: () => pool.end(),
  }
}

function tarn(): Acquirer {
  const pool = new TarnPool<pg.Client>({ create: open, destroy: (client) => client.end(), min: 0, max: MAX })
  return {
    async caller(turns) {
      while (turns.next()) {
        const client = await pool.acquire().promise
        pool.release(client)
      }
    },
    close: () => pool.destroy(),
  }
}

function generic(): Acquirer {
  const pool = genericPool.createPool({ create: open, destroy: (client) => client.end() }, { max: MAX })
  return {
    async caller(turns) {
      while (turns.next()) {
        const client = await pool.acquire()
        void pool.release(client)
      }
    },
    async close() {
      await pool.drain()
      await pool.clear()
    },
  }
}

async function open(): Promise<pg.Client> {
  const client = new ScriptedClient()
  await client.connect()
  return client
}
