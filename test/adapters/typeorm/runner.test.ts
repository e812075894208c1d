import { isDisconnect } from '@holdfast/core'
import type { DataSource } from 'typeorm'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { rejection, settles } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { Entry } from '../subjects/typeorm-stock.ts'
import { expectLoss } from '../support/causes.ts'
import { busyBackend, written } from '../support/health.ts'
import { addressOf, connected, poolOf, stock } from './support/data-source.ts'

/** Ends the session of a query runner between two of its statements, and waits until the pool has noticed. */
async function loseConnection(source: DataSource, terminate: () => Promise<unknown>): Promise<void> {
  await terminate()
  await until(() => poolOf(source).totalCount === 0, { what: 'the pool to notice' })
}

describe('a query runner', () => {
  test('a stock query runner hides why its connection was lost', async ({ cluster, direct, applicationName }) => {
    const source = stock({ ...addressOf(direct), applicationName })
    await source.initialize()
    const runner = source.createQueryRunner()
    await runner.startTransaction()
    await loseConnection(source, () => cluster.terminateBackends({ applicationName }))
    const hidden = await rejection(runner.query('select 1'))
    expect(hidden.name).toBe('QueryRunnerAlreadyReleasedError')
    expect(isDisconnect(hidden)).toBe(false)
    await source.destroy()
  })

  test('a query runner tells why it was lost between statements', async ({ cluster, direct, applicationName }) => {
    const source = await connected({ ...addressOf(direct), applicationName, poolSize: 1 })
    const runner = source.createQueryRunner()
    await runner.startTransaction()
    await runner.manager.insert(Entry, { id: 'of a lost runner' })
    await loseConnection(source, () => cluster.terminateBackends({ applicationName }))
    expectLoss(await rejection(runner.query('select 1')), { code: '57P01', commitOutcome: 'aborted' })
    await runner.rollbackTransaction()
    await runner.release()
    expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
    expect(await written(cluster, 'of a lost runner')).toEqual([])
    await source.destroy()
  })

  test('a query runner commits when it is disposed of, and tells what became of the COMMIT when its connection is lost', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    const source = await connected({ ...addressOf(direct), applicationName, poolSize: 1 })
    const disposed = async (): Promise<void> => {
      await using runner = source.createQueryRunner()
      await runner.startTransaction()
      await runner.manager.insert(Entry, { id: 'disposed' })
      await loseConnection(source, () => cluster.terminateBackends({ applicationName }))
    }
    expectLoss(await rejection(disposed()), { commitOutcome: 'aborted' })
    expect(poolOf(source).status().leased).toBe(0)
    await source.destroy()
  })

  test('a query runner rolls back to its savepoint, and commits the rest', async ({ cluster, direct }) => {
    const source = await connected(addressOf(direct))
    const runner = source.createQueryRunner()
    await runner.startTransaction()
    await runner.manager.insert(Entry, { id: 'before the savepoint' })
    await runner.startTransaction()
    await rejection(runner.query('select 1 / 0'))
    await runner.rollbackTransaction()
    await runner.commitTransaction()
    await runner.release()
    expect(await written(cluster, 'before the savepoint')).toEqual(['before the savepoint'])
    await source.destroy()
  })

  test('a query runner is free when a stream was read to the end or left half-way', async ({ direct }) => {
    const source = await connected({ ...addressOf(direct), poolSize: 1 })
    for (const [stopAt, expected] of [
      [Number.POSITIVE_INFINITY, 500],
      [3, 3],
    ] as const) {
      const runner = source.createQueryRunner()
      const rows: unknown[] = []
      for await (const row of await runner.stream('select * from generate_series(1, 500)'))
        if (rows.push(row) === stopAt) break
      await runner.release()
      expect(rows).toHaveLength(expected)
      expect(await settles(source.query('select 1 as it'), 'the next query')).toEqual([{ it: 1 }])
    }
    await source.destroy()
  })

  test('a query runner ends a stream with the cause of its loss', async ({ cluster, direct, applicationName }) => {
    const source = await connected({ ...addressOf(direct), applicationName, poolSize: 1 })
    const runner = source.createQueryRunner()
    const stream = await runner.stream("select pg_sleep('infinity')")
    const read = rejection(stream.toArray())
    await cluster.terminateBackends({ pid: await busyBackend({ cluster, applicationName }, 'pg_sleep') })
    expectLoss(await read, { code: '57P01' })
    await runner.release()
    expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
    await source.destroy()
  })

  test('a query runner reports the loss of save() as retryable', async ({ cluster, direct, applicationName }) => {
    const source = await connected({ ...addressOf(direct), applicationName, poolSize: 1 })
    source.subscribers.push({
      beforeTransactionCommit: async () => {
        source.subscribers.pop()
        await loseConnection(source, () => cluster.terminateBackends({ applicationName }))
      },
    })
    const repository = source.getRepository(Entry)
    expectLoss(await rejection(repository.save({ id: 'saved' })), { commitOutcome: 'aborted' })
    expect(await written(cluster, 'saved')).toEqual([])
    await repository.save({ id: 'saved' })
    expect(await written(cluster, 'saved')).toEqual(['saved'])
    await source.destroy()
  })
})
