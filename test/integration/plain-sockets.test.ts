import { Pool } from '@holdfast/core'
import { test as base, describe, expect } from 'vitest'
import { Cluster, FaultProxy } from '../support/index.ts'

/** Without TLS the pool reads by itself what Node would read: whatever can arrive shall arrive, in order and whole. */
const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start({ tls: false, unixSocket: true })
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })
  .extend('proxy', async ({ cluster }, { onCleanup }) => {
    const proxy = await FaultProxy.start(cluster)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })

describe.each(['TCP', 'a Unix socket'])('over %s', (kind) => {
  test('answers of every size arrive whole over a socket without TLS, many at a time', async ({ cluster }) => {
    const config = cluster.config(kind === 'TCP' ? {} : { host: cluster.socketDirectory })
    await using pool = new Pool({ ...config, max: 5 })
    const sizes = [0, 1, 100, 65_535, 65_536, 65_537, 1_000_000, 5_000_000]
    const answers = await Promise.all(
      sizes.map((size, index) =>
        pool.query<{ text: string }>('select repeat(chr(97 + $2::int), $1::int) as text', [size, index]),
      ),
    )
    const texts = answers.map(({ rows }) => rows[0]?.text)
    for (const [index, size] of sizes.entries())
      expect(texts[index] === String.fromCharCode(97 + index).repeat(size), `${size} bytes`).toBe(true)
  })

  test('rows in pieces over a socket without TLS are not mixed up with those of others', async ({ cluster }) => {
    const config = cluster.config(kind === 'TCP' ? {} : { host: cluster.socketDirectory })
    await using pool = new Pool({ ...config, max: 4 })
    const ask = async (from: number): Promise<boolean> => {
      const { rows } = await pool.query<{ n: number; text: string }>(
        'select n, repeat(n::text, 50) as text from generate_series($1::int, $1::int + 2000) as n',
        [from],
      )
      return (
        rows.length === 2001 && rows.every(({ n, text }, index) => n === from + index && text === `${n}`.repeat(50))
      )
    }
    expect(await Promise.all([1, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000].map(ask))).not.toContain(false)
  })
})

describe('a connection that is cut without TLS', () => {
  test.for(['fin', 'rst'] as const)(
    'a connection without TLS that is cut by %s is noticed, and replaced',
    async (how, { cluster, proxy }) => {
      await using pool = new Pool({ ...proxy.config(cluster.config()), max: 1 })
      const client = await pool.connect()
      const statement = client.query('select pg_sleep(30)')
      statement.catch(() => {})
      proxy.cut(how)
      await expect(statement).rejects.toMatchObject({ name: 'ConnectionLostError' })
      client.release()
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    },
  )
})
