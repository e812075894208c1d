import { Pool } from '@holdfast/core'
import { test as base, expect } from 'vitest'
import { Cluster } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const SIZE = 4
const CALLERS = 16
const TIMES = 60

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

/** Many callers that send the same statements, alone and in transactions. Returns their errors. */
async function errorsOf(pool: Pool): Promise<unknown[]> {
  const errors: unknown[] = []
  const caller = async (_: unknown, id: number): Promise<void> => {
    for (let time = 0; time < TIMES; time++) {
      const statement = pool.query('select $1::int as id', [id])
      const { rows } = await statement.catch((error: unknown) => ({ rows: [void errors.push(error)] }))
      if (rows[0] && rows[0].id !== id) errors.push(rows)
      if (time % 4 === 0)
        await pool
          .transaction((tx) => tx.query('select $1::int as other', [id]))
          .catch((error: unknown) => errors.push(error))
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  return errors
}

async function preparedIn(pool: Pool): Promise<number[]> {
  const clients = await Promise.all(Array.from({ length: SIZE }, () => pool.connect()))
  const counts = await Promise.all(
    clients.map(async (client) => {
      await client.query('begin')
      const { rows } = await client.query('select count(*)::int from pg_prepared_statements')
      await client.query('commit')
      return rows[0].count
    }),
  )
  for (const client of clients) client.release()
  return counts
}

test.for(['transaction', 'session', 'statement'])(
  'Holdfast: nothing is prepared by itself, in pool_mode %s',
  async (mode, { cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode })
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE })
    const errors = mode === 'statement' ? [] : await errorsOf(pool)
    for (let time = 0; time < 20; time++) await pool.query('select $1::int', [time])
    expect(errors).toEqual([])
    if (mode !== 'statement') expect(await preparedIn(pool)).toEqual([0, 0, 0, 0])
  },
)

test('Holdfast: with `prepare: true` no statement fails', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster)
  await using pool = new Pool({ ...pgbouncer.config(), max: SIZE, prepare: true })
  const errors: unknown[] = []
  const caller = async (_: unknown, id: number): Promise<void> => {
    for (let time = 0; time < TIMES; time++)
      await pool.query('select $1::int as id', [id]).catch((error: unknown) => errors.push(error))
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  expect(errors).toEqual([])
})
