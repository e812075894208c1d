import { ConnectionLostError, type Pool } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { atEachByte, test } from './support/at-each-byte.ts'
import { holdfast } from './support/pools.ts'
import { settles } from './support/settling.ts'

const SHARED = 8
const WRITE = 'insert into entry (id) values ($1)'

type Told = 'written' | 'nothing written' | 'unknown'

/** Writes, and notes what the caller was told. */
async function write(pool: Pool, id: string, told: Map<string, Told>): Promise<void> {
  try {
    await pool.query(WRITE, [id])
    told.set(id, 'written')
  } catch (error) {
    if (!(error instanceof ConnectionLostError)) throw error
    told.set(id, error.statementOutcome === 'unknown' ? 'unknown' : 'nothing written')
  }
}

/** The answers that aren't true. */
async function wrongOf(cluster: Cluster, told: Map<string, Told>): Promise<[string, Told][]> {
  const { rows } = await cluster.withAdmin((admin) => admin.query<{ id: string }>('select id from entry'))
  const written = new Set(rows.map(({ id }) => id))
  return [...told].filter(([id, answer]) => answer !== 'unknown' && written.has(id) !== (answer === 'written'))
}

describe('with pipelineWrites, eight writes share a connection', () => {
  test('that is lost at any byte: each is written at most once, and told as it is', { timeout: 120_000 }, async ({
    cluster,
    direct,
  }) => {
    const told = new Map<string, Told>()
    const writeTogether = async (pool: Pool, id: string): Promise<void> => {
      await Promise.all(Array.from({ length: SHARED }, (_, index) => write(pool, `${id}-${index}`, told)))
    }
    const options = { ...direct, maxPipeline: SHARED, pipelineWrites: true }
    expect((await atEachByte(cluster, options, writeTogether, 13)).length).toBeGreaterThan(100)
    expect(await wrongOf(cluster, told)).toEqual([])
  })

  test('whose session the server ends: what it has not begun is written by another one', { timeout: 60_000 }, async ({
    cluster,
    direct,
  }) => {
    const told = new Map<string, Told>()
    await using pool = holdfast({ ...direct, max: 2, maxPipeline: SHARED, pipelineWrites: true })
    let isOver = false
    const writeOn = async (writer: number): Promise<void> => {
      for (let number = 0; !isOver; number++) await write(pool, `ended-${writer}-${number}`, told)
    }
    const writers = Promise.all(Array.from({ length: 16 }, (_, writer) => writeOn(writer)))
    for (let time = 0; time < 20; time++) {
      await cluster.withAdmin((admin) =>
        admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'`),
      )
      const before = told.size
      await until(() => told.size > before + 50)
    }
    isOver = true
    await settles(writers, 'the writers')
    expect(pool.stats().statements.multiplexed).toBeGreaterThan(100)
    expect(await wrongOf(cluster, told)).toEqual([])
    // Only the one that the server executed may be unknown, in either session.
    expect([...told.values()].filter((answer) => answer !== 'written').length).toBeLessThanOrEqual(2 * 20)
  })

  test('one of which is ended for its slowness: those behind it are written all the same', async ({
    cluster,
    direct,
  }) => {
    const told = new Map<string, Told>()
    const options = { ...direct, max: 1, maxPipeline: SHARED, pipelineWrites: true }
    await using pool = holdfast({ ...options, options: '-c transaction_timeout=30' })
    const touch = (id: string): Promise<unknown> => pool.query('update entry set id = id where id = $1', [id])
    for (let time = 0; time < 10; time++) await write(pool, `slow-${time}`, told)
    for (let time = 0; time < 10; time++) await touch(`slow-${time}`)
    await cluster.withAdmin(async (admin) => {
      await admin.query('begin')
      await admin.query(`select from entry where id = 'slow-0' for update`)
      const slow = expect(touch('slow-0')).rejects.toThrow('it was ended because it took too long')
      await Promise.all(Array.from({ length: 5 }, (_, index) => write(pool, `behind-slow-${index}`, told)))
      await slow
      await admin.query('rollback')
    })
    expect(pool.stats().statements.multiplexed).toBe(5)
    expect([...new Set(told.values())]).toEqual(['written'])
    expect(await wrongOf(cluster, told)).toEqual([])
  })
})
