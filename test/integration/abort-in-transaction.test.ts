import { withPoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast, warmUp } from '../faults/support/pools.ts'
import { rejection } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

describe('a statement is given up in a transaction that has no id', () => {
  // The probe for the id is already on its way: something must wait for its answer.
  test.for(['select pg_sleep(60)', "select pg_sleep(60) from (values ('a; b')) as v (text)"])(
    'no connection ends when %s is given up in a transaction that has no id',
    async (statement, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 2, prePing: false })
      const pids = new Set(await warmUp(pool, 2))
      const controller = new AbortController()
      const reason = new Error('the user has left')
      const aborted = withPoolOptions({ signal: controller.signal }, () =>
        pool.transaction(async (tx) => {
          await tx.query(statement)
        }),
      )
      await until(async () => {
        const sessions = await cluster.sessions({ applicationName: direct.application_name })
        return sessions.some(({ query, state }) => state === 'active' && query.startsWith('select'))
      })
      controller.abort(reason)
      expect(await rejection(aborted)).toBe(reason)
      await until(() => pool.idleCount === pool.totalCount)
      expect(pool.inspect().map(({ backendPid }) => pids.has(backendPid as number))).toEqual([...pids].map(() => true))
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )
})
