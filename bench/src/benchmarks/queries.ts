import { Pool } from '@holdfast/core'
import pg, { type ClientConfig } from 'pg'
import type { Contest, Contestant, Goal } from '../contest.ts'
import type { ContestantName } from '../contestants.ts'
import { CPU_TIME, THROUGHPUT, throughputOf } from '../run/throughput.ts'

const MAX = 10
const CALLERS = 64
const STATEMENT = 'select $1::int'

/** A contestant that queries a real server. */
export const QUERYING: readonly ContestantName[] = ['holdfast', 'pg-pool', 'pg-pool-select-1']

/** How to reach the server, how long a measurement lasts, and by how much we want to be better. */
export interface QueryContest {
  readonly config: ClientConfig
  readonly sliceMillis: number
  readonly goals: Readonly<Record<'pg-pool' | 'pg-pool-select-1', number>>
}

/**
 * A small statement, again and again: Holdfast with its defaults, which is all of its protection; pg.Pool without any;
 * and pg.Pool as careful users have it, asking the server first whether the client is alive.
 */
export function queryContest({ config, sliceMillis, goals }: QueryContest): Contest {
  const load = { callers: CALLERS, sliceMillis }
  return {
    name: `${CALLERS} callers on ${MAX} connections`,
    metrics: [THROUGHPUT, CPU_TIME],
    contestants: [holdfast(config, load), pgPool(config, load), carefulPgPool(config, load)],
    goals: Object.entries(goals).map(
      ([peer, atLeast]): Goal => ({ metric: THROUGHPUT.name, peer: peer as ContestantName, atLeast }),
    ),
  }
}

interface Callers {
  readonly callers: number
  readonly sliceMillis: number
}

function holdfast(config: ClientConfig, load: Callers): Contestant {
  return {
    name: 'holdfast',
    async enter() {
      const pool = new Pool({ ...config, max: MAX })
      return throughputOf({
        ...load,
        async caller(turns) {
          while (turns.next()) await pool.query(STATEMENT, [turns.count])
        },
        close: () => pool.end(),
      })
    },
  }
}

function pgPool(config: ClientConfig, load: Callers): Contestant {
  return {
    name: 'pg-pool',
    async enter() {
      const pool = new pg.Pool({ ...config, max: MAX })
      return throughputOf({
        ...load,
        async caller(turns) {
          while (turns.next()) await pool.query(STATEMENT, [turns.count])
        },
        close: () => pool.end(),
      })
    },
  }
}

function carefulPgPool(config: ClientConfig, load: Callers): Contestant {
  return {
    name: 'pg-pool-select-1',
    async enter() {
      const pool = new pg.Pool({ ...config, max: MAX })
      return throughputOf({
        ...load,
        async caller(turns) {
          while (turns.next()) {
            const client = await pool.connect()
            await client.query('select 1')
            await client.query(STATEMENT, [turns.count])
            client.release()
          }
        },
        close: () => pool.end(),
      })
    },
  }
}
