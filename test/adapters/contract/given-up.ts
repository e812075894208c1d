import { describe, expect } from 'vitest'
import { settles, unattended } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import { until } from '../../support/index.ts'
import type { Subject } from '../subject.ts'
import { attemptsOf, CONFLICT } from '../support/attempts.ts'
import { causesOf } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { busyBackend, expectHealthy, written } from '../support/health.ts'
import { AGAIN, backendPid, open } from '../support/open.ts'

const ENDLESS = "select pg_sleep('infinity')"

class TakesTooLong extends Error {}

/** What the `signal` of a transaction does, with every subject that retries. */
export function describeGivenUp(subject: Subject): void {
  if (!subject.retries) return
  const test = contractTest(subject)

  describe('C: the signal of a transaction', () => {
    test('C: the signal of a transaction cancels the running statement, so that nothing is written, and is the reason of the rejection', async ({
      database,
      cluster,
      place,
    }) => {
      const controller = new AbortController()
      const given = attemptsOf(
        database,
        async (tx) => {
          await tx.insert('given up')
          await tx.run(ENDLESS)
        },
        { ...AGAIN, signal: controller.signal },
      )
      const pid = await busyBackend(place, ENDLESS)
      controller.abort(new TakesTooLong())
      expect(await given).toEqual({ attempts: [1], error: controller.signal.reason })
      expect(await written(cluster, 'given up')).toEqual([])
      expect(await backendPid(database)).toBe(pid)
      await expectHealthy(database, place)
    })

    test('C: a transaction is rolled back when its signal is aborted between two statements', async ({
      database,
      cluster,
      place,
    }) => {
      const controller = new AbortController()
      const given = await attemptsOf(
        database,
        async (tx) => {
          await tx.insert('given up between')
          controller.abort(new TakesTooLong())
        },
        { ...AGAIN, signal: controller.signal },
      )
      expect(given).toEqual({ attempts: [1], error: controller.signal.reason })
      expect(await written(cluster, 'given up between')).toEqual([])
      await expectHealthy(database, place)
    })

    test('C: a transaction does not begin when its signal is aborted already', async ({ direct }) => {
      await using database = await open(subject, direct)
      const signal = AbortSignal.abort(new TakesTooLong())
      expect(await attemptsOf(database, (tx) => tx.insert('never'), { ...AGAIN, signal })).toEqual({
        attempts: [],
        error: signal.reason,
      })
    })

    test('C: the signal of a transaction removes it from the queue at once', async ({ database, place }) => {
      const { promise: end, resolve } = deferred()
      const holder = database.transaction(() => end)
      await until(() => database.pool.totalCount === 1 && database.pool.idleCount + database.pool.waitingCount === 0)
      const controller = new AbortController()
      const given = attemptsOf(database, (tx) => tx.insert('never'), { ...AGAIN, signal: controller.signal })
      await until(() => database.pool.waitingCount === 1)
      controller.abort(new TakesTooLong())
      expect(database.pool.waitingCount).toBe(0)
      expect(await given).toEqual({ attempts: [], error: controller.signal.reason })
      resolve()
      await holder
      await expectHealthy(database, place)
    })

    test('C: the signal of a transaction ends the delay before the next attempt', async ({
      cluster,
      direct,
      applicationName,
      place,
    }) => {
      await using database = await open(subject, direct)
      const controller = new AbortController()
      const given = unattended(
        attemptsOf(database, async (tx) => void (await tx.run(CONFLICT('conflict'))), {
          retry: { retries: 3, minTimeout: 600_000, maxTimeout: 600_000 },
          signal: controller.signal,
        }),
      )
      await until(() => database.pool.totalCount === 1 && database.pool.idleCount === 1)
      // The first attempt is rolled back, and the delay has begun.
      await until(async () =>
        (await cluster.sessions({ applicationName })).every(({ query }) => /^rollback/i.test(query)),
      )
      controller.abort(new TakesTooLong())
      const { attempts, error } = await settles(given, 'the transaction')
      expect([attempts, causesOf(error).includes(controller.signal.reason as never)]).toEqual([[1], true])
      await expectHealthy(database, place)
    })

    test('C: the signal of a transaction has no effect when it is aborted after COMMIT was sent', async ({
      cluster,
      aimed,
      aimedAt,
      place,
    }) => {
      await using database = await open(subject, aimedAt)
      const controller = new AbortController()
      const shot = aimed.aim({ statement: /^commit/i, point: 'on-reply' }, () => controller.abort(new TakesTooLong()))
      const options = { ...AGAIN, signal: controller.signal }
      await database.transaction((tx) => tx.insert('given up too late'), options)
      await shot.fired
      expect(await written(cluster, 'given up too late')).toEqual(['given up too late'])
      await expectHealthy(database, place)
    })
  })
}
