import { withPoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { isPending, rejection, settles, unattended } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import { until } from '../../support/index.ts'
import type { Database, Row, Subject } from '../subject.ts'
import { causesOf, expectCause } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { busyBackend, expectHealthy, written } from '../support/health.ts'
import { backendPid, open, warmUp } from '../support/open.ts'
import { waysOf } from '../support/ways.ts'

const ENDLESS = "select pg_sleep('infinity')"

class TakesTooLong extends Error {}

const REFUSALS = [
  { what: 'a wrong password', options: { password: 'wrong' }, code: '28P01' },
  { what: 'an unknown database', options: { database: 'nowhere' }, code: '3D000' },
  { what: 'a certificate of an unknown authority', options: { ssl: true }, code: 'SELF_SIGNED_CERT_IN_CHAIN' },
] as const

/** SCENARIOS E: acquiring a connection, and giving up. */
export function describeAcquire(subject: Subject): void {
  const test = contractTest(subject)
  const ways = waysOf(subject)

  // Concurrent, since most of it is waiting.
  describe.concurrent('E: acquiring a connection', () => {
    test('E1: every way to run a statement is served after the server has refused for a while', async ({
      proxy,
      proxied,
      place,
    }) => {
      await using database = await open(subject, { ...proxied, max: ways.length })
      await warmUp(database, 2)
      proxy.refuse()
      proxy.cut('rst')
      const statements = ways.map(({ run }) => run(database, 'select 1 as one'))
      await until(() => database.pool.waitingCount === ways.length, { what: 'all to wait' })
      await proxy.heal()
      expect(await settles(Promise.all(statements), 'the statements')).toEqual(ways.map(() => [{ one: 1 }]))
      await expectHealthy(database, place)
    })

    test('E1: a database can be opened while the server refuses', async ({ proxy, proxied, place }) => {
      proxy.refuse(300)
      await using database = await open(subject, { ...proxied, max: 2 })
      expect(await settles(database.run('select 1 as one'), 'the statement')).toEqual([{ one: 1 }])
      await expectHealthy(database, place)
    })

    test.for(REFUSALS)(
      'E2: a statement rejects at once for $what, and no other attempt is made',
      async ({ options, code }, { proxy, proxied }) => {
        // TypeORM connects while it is being opened.
        const use = async (): Promise<void> => {
          await using database = await open(subject, { ...proxied, ...options, connectionTimeoutMillis: 0 })
          for (const { run } of ways.slice(1)) expectCause(await rejection(run(database, 'select 1')), { code })
          await database.run('select 1')
        }
        const error = await rejection(use())
        expectCause(error, { name: 'ConnectError', code })
        // Beside a login that is silent for a second, as on a busy machine, another one begins. Retries would be dozens.
        expect(proxy.accepted).toBeLessThan(2 * ways.length)
      },
    )

    test.for(ways)(
      'E3: $way rejects when the pool is exhausted, with an error that says what holds the connections',
      async ({ run }, { database, place }) => {
        const { pid, end } = await hold(database)
        const error = await rejection(
          withPoolOptions({ connectionTimeoutMillis: 200 }, () => run(database, 'select 1')),
        )
        expectCause(error, {
          name: 'PoolTimeoutError',
          message: expect.stringMatching(/^timeout exceeded when trying to connect.*1 of 1 in use/),
          details: expect.objectContaining({ leased: 1, longestLease: expect.objectContaining({ backendPid: pid }) }),
        })
        expect(causesOf(error).map(({ name }) => name)).not.toContain('ConnectError')
        await end()
        await expectHealthy(database, place)
      },
    )

    test('E4: the idle connections serve fifty callers when new connections do not open', async ({
      proxy,
      proxied,
      place,
    }) => {
      const told: string[] = []
      await using database = await open(subject, {
        ...proxied,
        max: 30,
        // Fifty callers keep a small machine busy, so the ping of an idle connection may take long.
        prePing: { idleMillis: 0, timeoutMillis: 5000 },
        log: (...words) => told.push(words.join(' ')),
      })
      await warmUp(database, 5)
      const unsubscribe = proxy.onLink((link) => link.delay(Number.POSITIVE_INFINITY))
      const requests = Array.from({ length: 50 }, (_, index) => ways[index % ways.length]?.run(database, 'select 1'))
      await settles(Promise.all(requests), 'all of them')
      expect([database.pool.waitingCount, database.pool.idleCount], told.join('\n')).toEqual([0, 5])
      unsubscribe()
      await proxy.heal()
      await expectHealthy(database, place)
    })

    test.for(ways)(
      'E5: $way leaves the queue at once when the signal of its scope is aborted',
      async ({ run }, { database, place }) => {
        const { end } = await hold(database)
        const controller = new AbortController()
        const waiting = unattended(withPoolOptions({ signal: controller.signal }, () => run(database, 'select 1')))
        await until(() => database.pool.waitingCount === 1)
        const behind = database.run('select 1 as one')
        await until(() => database.pool.waitingCount === 2)
        controller.abort(new TakesTooLong())
        expect(database.pool.waitingCount).toBe(1)
        expect(causesOf(await rejection(waiting))).toContain(controller.signal.reason)
        await end()
        expect(await settles(behind, 'the next waiter')).toEqual([{ one: 1 }])
        await expectHealthy(database, place)
      },
    )

    // A stream is given up by leaving its loop.
    test.for(ways.filter(({ way }) => way !== 'a stream'))(
      'E5: the running statement of $way is cancelled when the signal of its scope is aborted',
      async ({ run }, { database, place }) => {
        const controller = new AbortController()
        const running = unattended(withPoolOptions({ signal: controller.signal }, () => run(database, ENDLESS)))
        const pid = await busyBackend(place, ENDLESS)
        const behind = backendPid(database)
        controller.abort(new TakesTooLong())
        expect(causesOf(await rejection(running))).toContain(controller.signal.reason)
        expect(await settles(behind, 'the next waiter')).toBe(pid)
        await expectHealthy(database, place)
      },
    )

    if (subject.can.includes('runUntil')) describeRunUntil(subject)
  })
}

/** The ORM's own way to give up. */
function describeRunUntil(subject: Subject): void {
  const test = contractTest(subject)
  test('E5: a statement whose signal is aborted already is not sent', async ({ database, cluster, place }) => {
    await rejection(
      runUntil(database, "insert into entry values ('E5 given up')", AbortSignal.abort(new TakesTooLong())),
    )
    expect(await written(cluster, 'E5 given up')).toEqual([])
    await expectHealthy(database, place)
  })

  test('E5: a running statement whose signal is aborted rejects at once, and is cancelled', async ({
    database,
    place,
  }) => {
    const controller = new AbortController()
    const running = unattended(runUntil(database, ENDLESS, controller.signal))
    const pid = await busyBackend(place, ENDLESS)
    controller.abort(new TakesTooLong())
    expect(causesOf(await rejection(running))).toContain(controller.signal.reason)
    expect(await settles(backendPid(database), 'the next statement')).toBe(pid)
    await expectHealthy(database, place)
  })

  test('E5: a waiter whose signal is aborted rejects at once, and leaks nothing', async ({ database, place }) => {
    const { end } = await hold(database)
    const controller = new AbortController()
    const waiting = unattended(runUntil(database, 'select 1', controller.signal))
    await until(() => database.pool.waitingCount === 1)
    controller.abort(new TakesTooLong())
    expect(causesOf(await rejection(waiting))).toContain(controller.signal.reason)
    if (!subject.limits?.includes('keeps waiters')) expect(database.pool.waitingCount).toBe(0)
    const behind = unattended(database.run('select 1 as one'))
    expect(await isPending(behind)).toBe(true)
    await end()
    expect(await settles(behind, 'the next waiter')).toEqual([{ one: 1 }])
    await expectHealthy(database, place)
  })
}

function runUntil(database: Database, sql: string, signal: AbortSignal): Promise<readonly Row[]> {
  return (database.runUntil as NonNullable<Database['runUntil']>)(sql, signal)
}

/** Begins a transaction that holds a connection until `end()` is called. */
async function hold(database: Database): Promise<{ readonly pid: number; readonly end: () => Promise<void> }> {
  const ending = deferred()
  const begun = deferred<number>()
  const transaction = database.transaction(async (tx) => {
    begun.resolve(await backendPid(tx))
    await ending.promise
  })
  const pid = await settles(Promise.race([begun.promise, transaction.then(() => 0)]), 'a transaction')
  return {
    pid,
    end: () => {
      ending.resolve()
      return transaction
    },
  }
}
