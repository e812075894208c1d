import { ConnectError, Pool, type PoolOptions } from '@holdfast/core'
import { test as base, expect } from 'vitest'
import { rejection } from '../faults/support/settling.ts'
import { Cluster } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

test.for<[options: PoolOptions, option: string]>([
  [{ statement_timeout: 5000 }, 'statement_timeout'],
  [{ lock_timeout: 5000 }, 'lock_timeout'],
  [{ idle_in_transaction_session_timeout: 5000 }, 'idle_in_transaction_session_timeout'],
  [{ options: '-c geqo=off' }, 'options'],
  [{ clientConnectionCheckMillis: 5000 }, 'clientConnectionCheckMillis'],
])(
  'Holdfast: a start-up parameter that PgBouncer refuses rejects at once, and names its option: %o',
  async ([options, option], { cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { ignore_startup_parameters: 'extra_float_digits' })
    await using pool = new Pool({ ...pgbouncer.config(), ...options })
    const error = await rejection(pool.query('select 1'))
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({ code: '08P01', message: expect.stringContaining('unsupported startup parameter') })
    expect(error.message).toContain(`\`${option}\``)
    expect(error.message).toContain('alter role … set ')
  },
)

test('Holdfast: nothing that it sends at start-up by default is refused', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster, { ignore_startup_parameters: '' })
  await using pool = new Pool(pgbouncer.config())
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})
