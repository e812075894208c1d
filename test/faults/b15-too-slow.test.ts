import { isRetryable } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from './support/fault-test.ts'
import { countOf, INSERT, watched, whileLocked } from './support/locked.ts'
import { WAYS } from './support/pools.ts'
import { rejection } from './support/settling.ts'

describe('what was ended because it was too slow', () => {
  test.for(WAYS)(
    'Holdfast: a statement that met query_timeout runs once, through $way',
    async (way, { cluster, direct }) => {
      await using own = watched({ ...direct, max: 1, query_timeout: 300 })
      await whileLocked(cluster, async () => {
        const error = await rejection(way.run(own.pool, INSERT, [`slow ${way.way}`]))
        expect(error).toMatchObject({ name: 'ConnectionLostError', statementOutcome: 'unknown' })
      })
      expect(own.retries).toEqual([])
    },
  )

  test('Holdfast: a transaction that met query_timeout, or transaction_timeout, runs once', async ({
    cluster,
    direct,
  }) => {
    for (const options of [{ query_timeout: 300 }, { options: '-c transaction_timeout=300' }]) {
      await using own = watched({ ...direct, max: 1, ...options })
      let runs = 0
      const error = await rejection(
        own.pool.transaction(async (tx) => {
          runs++
          await tx.query('select pg_sleep(5)')
        }),
      )
      expect(error).toMatchObject({ name: 'ConnectionLostError', commitOutcome: 'aborted' })
      expect(isRetryable(error)).toBe(false)
      expect(runs).toBe(1)
    }
    await cluster.terminateBackends({ applicationName: direct.application_name })
  })

  test.for(WAYS)(
    'Holdfast: a write that met transaction_timeout runs once, through $way',
    async (way, { cluster, direct }) => {
      await using own = watched({ ...direct, max: 1, options: '-c transaction_timeout=300' })
      const id = `too long ${way.way}`
      await whileLocked(cluster, async () => {
        expect(await rejection(way.run(own.pool, INSERT, [id]))).toMatchObject({
          code: '25P04',
          statementOutcome: 'rolled-back',
          commitOutcome: 'aborted',
          message: expect.stringContaining('not run again: it was ended because it took too long'),
        })
      })
      expect(own.retries).toEqual([])
      expect(await countOf(cluster, id)).toBe(0)
    },
  )
})
