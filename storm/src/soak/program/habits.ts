import { setTimeout as sleep } from 'node:timers/promises'
import { withPoolOptions } from '@holdfast/core'
import { Query } from 'pg'
import { SETTINGS } from '../../settings.ts'
import { SOAK } from '../settings.ts'
import { impatiently } from './patience.ts'
import type { SoakedServiceSetup } from './soaked-service.ts'

/** Something that real services do beside their plain work, again and again. */
export interface Habit {
  readonly name: string
  /** How long until it is done again, on average. */
  readonly everyMillis: number
  /** May fail, as everything in a storm; the error is noted. */
  act(setup: SoakedServiceSetup): Promise<unknown>
}

const MANY_ROWS = 'select number, repeat(number::text, 20) from generate_series(1, 500) number'

/** Every part of the pool's surface that the storm's own workload does not touch. */
export const HABITS: readonly Habit[] = [
  {
    name: 'listens on a leased client, for longer than leakDetectionMillis',
    everyMillis: 1500,
    async act({ pools, shutdown }) {
      const client = await pools.pool.connect({ resetOnReturn: 'session', signal: shutdown })
      let heard = 0
      const onNotification = (): void => {
        heard++
      }
      client.on('notification', onNotification)
      try {
        await client.query('listen soak')
        await pools.pool.query('notify soak')
        // Maintenance runs once a second.
        await sleep(SOAK.pool.leakDetectionMillis + 1100)
        await client.query('select 1')
        if (heard === 0) throw new Error('A notification got lost.')
      } finally {
        client.off('notification', onNotification)
        client.release()
      }
    },
  },
  {
    name: 'reads through a cursor, and sometimes walks away from it',
    everyMillis: 120,
    async act({ pools, random }) {
      await using client = await pools.pool.connect()
      await client.query('begin')
      await client.query(`declare some cursor for ${MANY_ROWS}`)
      for (let page = 0; page < 3; page++) await client.query('fetch 100 from some')
      if (random() < 0.5) await client.query('commit')
    },
  },
  {
    name: 'takes rows as they come, and sometimes releases in their midst',
    everyMillis: 120,
    async act({ pools, random }) {
      // A promise, as with pg.Pool, whatever the types of pg say.
      if (random() < 0.5) return pools.pool.query(new Query(MANY_ROWS))
      const client = await pools.pool.connect()
      const rows = rowsOf(client.query(new Query(MANY_ROWS)))
      if (random() < 0.5) client.release()
      else await rows.finally(() => client.release())
      await rows
    },
  },
  {
    name: 'loses patience while it waits for a connection',
    everyMillis: 60,
    async act({ pools, random }) {
      const pool = random() < 0.2 ? pools.nullPool : pools.pool
      await using client = await impatiently(random, 10, (signal) => pool.connect({ signal }))
      await impatiently(random, 10, (signal) => client.query({ text: 'select pg_sleep(0.005)', signal } as never))
    },
  },
  {
    name: 'has a deadline for its connection',
    everyMillis: 100,
    async act({ pools, random }) {
      await using client = await pools.pool.connect({ connectionTimeoutMillis: 1 + Math.floor(random() * 20) })
      await client.query('select 1')
    },
  },
  {
    name: 'changes its session, and leaves that to the reset',
    everyMillis: 80,
    async act({ pools, random }) {
      const client = await pools.pool.connect({ resetOnReturn: random() < 0.7 ? 'session' : 'discard' })
      try {
        await client.query('set search_path = pg_catalog')
        await client.query('create temporary table if not exists scratch (id int)')
        await client.query('select pg_advisory_lock_shared(4711)')
      } finally {
        client.release()
      }
    },
  },
  {
    name: 'works in a scope',
    everyMillis: 100,
    act: ({ pools, random }) =>
      impatiently(random, 100, (signal) =>
        withPoolOptions({ signal, connectionTimeoutMillis: 500, resetOnReturn: 'session' }, async () => {
          await pools.pool.query('select 1')
          await pools.pool.transaction((tx) => tx.query('select pg_sleep(0.005)'))
        }),
      ),
  },
  {
    name: 'uses NullPool',
    everyMillis: 400,
    async act({ pools }) {
      await using client = await pools.nullPool.connect()
      await client.query('select 1')
    },
  },
  {
    name: 'makes mistakes in SQL',
    everyMillis: 80,
    async act({ pools, random }) {
      const choice = random()
      if (choice < 0.3) await pools.pool.query('select 1 / 0')
      else if (choice < 0.6) await pools.pool.query('selec')
      else
        await pools.pool.transaction(async (tx) => {
          // Swallowed, so that COMMIT is answered with ROLLBACK.
          await tx.query('select 1 / 0').catch(() => {})
        })
    },
  },
  {
    name: 'gives a statement less time than it needs',
    everyMillis: 1000,
    act: ({ pools }) => pools.pool.query({ text: 'select pg_sleep(0.2)', query_timeout: 20 } as never),
  },
  {
    name: 'uses its client wrongly',
    everyMillis: 300,
    async act({ pools, random }) {
      const client = await pools.pool.connect()
      await client.query('select 1').finally(() => client.release(random() < 0.3))
      client.release()
    },
  },
  {
    name: 'ends a client that is not its own',
    everyMillis: 1000,
    async act({ pools }) {
      const client = await pools.pool.connect()
      // The pool notices it by itself.
      await (client as unknown as { end(): Promise<void> }).end().finally(() => client.release())
    },
  },
  {
    name: 'comes with too many at once',
    everyMillis: 2500,
    act: ({ pools }) =>
      Promise.all(
        Array.from({ length: SETTINGS.poolMax + SOAK.pool.maxWaiting + 8 }, () => pools.pool.query('select 1')),
      ),
  },
  {
    name: 'invalidates all connections',
    everyMillis: 2500,
    async act({ pools }) {
      pools.pool.invalidate(new Error('The soak knows better.'))
    },
  },
  {
    name: 'disposes of all connections',
    everyMillis: 3500,
    act: ({ pools }) => Promise.all([pools.pool.dispose(), pools.nullPool.dispose()]),
  },
]

function rowsOf(query: Query): Promise<void> {
  return new Promise((resolve, reject) => {
    query.on('row', () => {})
    query.on('error', reject)
    query.on('end', () => resolve())
  })
}
