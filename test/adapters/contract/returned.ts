import { type ResetPolicy, withPoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { rejection, settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import { until } from '../../support/index.ts'
import type { Database, Subject, Tx } from '../subject.ts'
import { expectCause } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { expectHealthy, written } from '../support/health.ts'
import { backendPid, open } from '../support/open.ts'
import { preparedIn } from '../support/ways.ts'

const CHANGE_SESSION = "set lock_timeout = '1h'; create temporary table leftover (n int); select pg_advisory_lock(4712)"
const WHAT_IS_LEFT = `select current_setting('lock_timeout') = '1h' as setting,
  to_regclass('pg_temp.leftover') is not null as table,
  exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as lock`
const NOTHING = [{ setting: false, table: false, lock: false }]

const TIMES = 10

/** SCENARIOS D: a released connection. */
export function describeReturned(subject: Subject): void {
  const test = contractTest(subject)
  describe('D: a released connection', () => {
    for (const policy of ['rollback', 'commit', 'none'] as const)
      test(`D1: the open transaction of a released connection is ended before the next caller gets it (${policy})`, async ({
        cluster,
        direct,
        place,
      }) => {
        const [left, next] = [`D1 left, ${policy}`, `D1 next, ${policy}`]
        await using database = await open(subject, { ...direct, max: 1, resetOnReturn: policy })
        const pid = await backendPid(database)
        const leaving = database.run(`begin; insert into entry values ('${left}')`)
        // It waits for the connection before the first statement has ended.
        const inserting = database.insert(next)
        await settles(Promise.all([leaving, inserting]), 'both statements')
        expect(await written(cluster, left, next)).toEqual(policy === 'commit' ? [left, next] : [next])
        expect((await backendPid(database)) === pid).toBe(policy !== 'none')
        await rejection(database.run(`begin; insert into entry values ('${left}, failed'); select 1 / 0`))
        await settles(database.insert(`${next}, again`), 'the next insert')
        expect(await written(cluster, `${left}, failed`, `${next}, again`)).toEqual([`${next}, again`])
        await expectHealthy(database, place)
      })

    for (const policy of ['session', 'discard'] as const)
      test(`D2: the session state of a released connection is reset (${policy})`, async ({ direct, place }) => {
        await using database = await open(subject, { ...direct, max: 1, resetOnReturn: policy })
        await expectCleared(database)
        await expectHealthy(database, place)
      })

    test('D2: the session state of a released connection is reset when the scope of the caller asks for it', async ({
      database,
      place,
    }) => {
      await withPoolOptions({ resetOnReturn: 'session' }, () => expectCleared(database))
      await expectHealthy(database, place)
    })

    if (subject.can.includes('prepared'))
      test.for(['rollback', 'session', 'discard'] as const)(
        'D2: a connection that was reset still runs prepared statements (%s)',
        async (resetOnReturn, { direct, place }) => {
          await using database = await open(subject, { ...direct, max: 1, resetOnReturn })
          for (let time = 1; time <= 3; time++) expect(await preparedIn(database, 'none')).toEqual([])
          await expectHealthy(database, place)
        },
      )

    test('D3: the release of a clean connection sends no byte to the server', async ({ proxy, proxied }) => {
      const sent = async (resetOnReturn: ResetPolicy): Promise<[number, number]> => {
        const prePing = { idleMillis: 60_000 }
        await using database = await open(subject, { ...proxied, max: 1, prePing, resetOnReturn })
        await database.run('select 1')
        const link = proxy.links.at(-1)
        const bytes = (): [number, number] => [link?.bytesToServer ?? 0, link?.bytesToClient ?? 0]
        const before = bytes()
        for (let time = 1; time <= TIMES; time++) {
          await database.run('select 1')
          await database.transaction((tx) => tx.run('select 1'))
        }
        const after = bytes()
        expect(database.pool.totalCount).toBe(1)
        return [after[0] - before[0], after[1] - before[1]]
      }
      expect(await sent('rollback')).toEqual(await sent('none'))
    })

    test('D4: a connection that is leased for too long causes a warning with the stack of its holder', async ({
      direct,
      place,
    }) => {
      const told: string[] = []
      const ignore = (): void => {}
      const logger = {
        debug: ignore,
        info: ignore,
        error: ignore,
        warn: (text: unknown) => void told.push(String(text)),
      }
      await using database = await open(subject, { ...direct, max: 1, leakDetectionMillis: 100, logger })
      const { promise: end, resolve } = deferred()
      let pid = 0
      const holdsForTooLong = async (): Promise<void> => {
        await database.transaction(async (tx) => {
          pid = await backendPid(tx)
          await end
        })
      }
      const holding = holdsForTooLong()
      await until(() => told.length > 0, { what: 'a warning' })
      expect(told[0]).toContain(`(backend ${pid})`)
      if (!subject.limits?.includes('hides callers')) expect(told[0]).toContain('holdsForTooLong')
      resolve()
      await holding
      await expectHealthy(database, place)
    })

    test('D4: a statement of a transaction that has ended is refused', async ({ database, place }) => {
      let former: Tx | undefined
      await database.transaction(async (tx) => {
        former = tx
      })
      const error = await rejection((former as Tx).run('select 1'))
      expectCause(error, { message: expect.stringMatching(/released|has ended|already committed/i) })
      await expectHealthy(database, place)
    })

    test('D: a released connection is closed with the database, which refuses later statements', async ({
      cluster,
      direct,
      applicationName,
    }) => {
      const database = await open(subject, { ...direct, max: 3 })
      await Promise.all([1, 2, 3].map(() => database.run('select pg_sleep(0.02)')))
      await database[Symbol.asyncDispose]()
      await until(async () => (await cluster.countSessions({ applicationName })) === 0)
      expectCause(await rejection(database.run('select 1')), {
        message: expect.stringMatching(/end|destroyed|connect/i),
      })
    })
  })
}

async function expectCleared(database: Database): Promise<void> {
  const pid = await backendPid(database)
  await database.run(CHANGE_SESSION)
  expect(await database.run(WHAT_IS_LEFT)).toEqual(NOTHING)
  expect(await backendPid(database)).toBe(pid)
}
