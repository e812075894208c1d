import { physicalClient } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { settles } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'
import { calledWith } from './support/observing.ts'

/** https://node-postgres.com/features/callbacks */
describe.each(LIBRARIES)('$library: callbacks', ({ open }) => {
  test('callbacks lead through a whole program, as the documentation shows', async ({ direct }) => {
    const pool = open(direct)
    const order: string[] = []
    const ended = new Promise<void>((resolve, reject) => {
      pool.query('select 1 as one', (error, result) => {
        order.push(`pool.query: ${result.rows[0].one}`)
        if (error) reject(error)
        pool.connect((refused, client, release) => {
          if (refused || !client) return reject(refused)
          client.query('select 2 as two', (failure, answer) => {
            release()
            order.push(`client.query: ${answer.rows[0].two}`)
            if (failure) reject(failure)
            pool.end(() => resolve())
          })
        })
      })
    })
    await settles(ended, 'the end of the program')
    expect(order).toEqual(['pool.query: 1', 'client.query: 2'])
    expect(pool.ended).toBe(true)
  })

  test('callbacks are given null, or undefined, for an error that there was not', async ({ direct }) => {
    await using pool = open(direct)
    expect((await calledWith((done) => pool.query('select 1', done)))[0]).toBe(undefined)
    const client = await pool.connect()
    expect((await calledWith((done) => client.query('select 1', done)))[0]).toBe(null)
    const config = { text: 'select $1::int as it', values: [1] }
    expect(await calledWith((done) => client.query({ ...config, callback: done } as never))).toMatchObject([
      null,
      { rows: [{ it: 1 }] },
    ])
    expect(await calledWith((done) => client.query('select 1 as it', null as never, done))).toMatchObject([
      null,
      { rows: [{ it: 1 }] },
    ])
    client.release()
  })

  test('callbacks of connect are given release, which can discard the client', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const lend = async (): Promise<[pg.PoolClient, (discard?: Error | boolean) => void]> => {
      const [, client, release] = await calledWith((done) => pool.connect(done))
      return [client, release] as never
    }
    const [first, release] = await lend()
    expect(release).toBe(first.release)
    release()
    const [second, discard] = await lend()
    expect(physicalClient(second)).toBe(physicalClient(first))
    discard(new Error('spoilt'))
    const [third, releaseAgain] = await lend()
    expect(physicalClient(third)).not.toBe(physicalClient(first))
    releaseAgain()
  })

  test('a call with a callback returns no promise', async ({ direct }) => {
    await using pool = open(direct)
    await calledWith((done) => expect(pool.query('select 1', done)).toBeUndefined())
    const client = await pool.connect()
    await calledWith((done) => expect(client.query('select $1', [1], done)).toBeUndefined())
    client.release()
    await calledWith((done) => expect(pool.connect(done)).toBeUndefined()).then(([, , release]) =>
      (release as () => void)(),
    )
    await calledWith((done) => expect(pool.end(done)).toBeUndefined())
  })

  test('callbacks that release and ask again at once serve every caller', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const order: number[] = []
    const work = (number: number): Promise<void> =>
      new Promise((resolve, reject) => {
        pool.connect((error, client, release) => {
          if (error || !client) return reject(error)
          client.query('select 1', () => {
            release()
            order.push(number)
            if (number < 4) work(number + 4).then(resolve, reject)
            else resolve()
          })
        })
      })
    await settles(Promise.all([0, 1, 2, 3].map(work)), 'all of them')
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })
})
