import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { withPoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import type { Blockade } from '../../faults/programs/while-blocked.ts'
import { rejection, settles, unattended } from '../../faults/support/settling.ts'
import { unnoticed } from '../../faults/support/unnoticed.ts'
import { type Cluster, until } from '../../support/index.ts'
import type { Subject } from '../subject.ts'
import { expectCause } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { expectHealthy, kill, written } from '../support/health.ts'
import { backendPid, meeting, open, PID, warmUp } from '../support/open.ts'
import { Service } from '../support/service.ts'
import { preparedIn, waysOf } from '../support/ways.ts'

const DEATHS = [
  { what: 'a fast restart', happen: (cluster: Cluster) => cluster.restart('fast') },
  { what: 'an immediate restart', happen: (cluster: Cluster) => cluster.restart('immediate') },
  {
    what: 'the termination of all idle sessions',
    async happen(cluster: Cluster, applicationName: string) {
      await cluster.terminateBackends({ applicationName })
      await until(async () => (await cluster.countSessions({ applicationName })) === 0)
    },
  },
] as const

/** Longer than an event loop is blocked in a process that isn't frozen; see guard/process-guard. */
const FREEZE_MILLIS = 2500

const PING_TIMEOUT_MILLIS = 200
const QUERY_TIMEOUT_MILLIS = 1000
const LOCK = 4711

/** SCENARIOS A: the connection died while it was idle. */
export function describeIdle(subject: Subject): void {
  const test = contractTest(subject)
  const ways = waysOf(subject)

  describe('A: the connection died while idle', () => {
    test.for(DEATHS)(
      'A1: every statement is served on a new connection after $what',
      async ({ happen }, { cluster, proxy, proxied, applicationName, place }) => {
        await using database = await open(subject, { ...proxied, max: ways.length })
        const oldPids = await warmUp(database, ways.length)
        const deliver = await unnoticed(proxy, () => happen(cluster, applicationName))
        const statements = ways.map(({ run }) => run(database, PID))
        deliver()
        const results = await settles(Promise.all(statements), 'the next statements')
        for (const [row] of results) expect(oldPids).not.toContain(row?.pid)
        await expectHealthy(database, place)
      },
    )

    if (subject.can.includes('prepared'))
      test('A1: a statement is prepared again after a restart', async ({ database, cluster, place }) => {
        await database.insert('A1 prepared')
        expect(await preparedIn(database, 'A1 prepared')).toEqual([{ id: 'A1 prepared' }])
        await cluster.restart('fast')
        expect(await settles(preparedIn(database, 'A1 prepared'), 'the statement')).toEqual([{ id: 'A1 prepared' }])
        await expectHealthy(database, place)
      })

    test.for(['to-client', 'both'] as const)(
      'A2: every statement is served on a new connection when the network drops the packets of the old ones (%s)',
      async (direction, { proxy, proxied, place }) => {
        await using database = await open(subject, { ...proxied, max: ways.length })
        const oldPids = await warmUp(database, ways.length)
        const oldLinks = proxy.links
        proxy.swallow({ direction, connections: 'existing' })
        const results = await settles(Promise.all(ways.map(({ run }) => run(database, PID))), 'the next statements')
        for (const [row] of results) expect(oldPids).not.toContain(row?.pid)
        // The pool destroys them. To end them politely, the server would have to answer.
        await until(() => oldLinks.every((link) => !link.isOpen), { what: 'the dead sockets to be closed' })
        await proxy.heal()
        await expectHealthy(database, place)
      },
    )

    // Concurrent, since all of it is waiting.
    test.concurrent('A2: a statement rejects within the deadline, with the connection error, when new connections get no answer either', async ({
      proxy,
      proxied,
      place,
    }) => {
      await using database = await open(subject, { ...proxied, max: ways.length, connectionTimeoutMillis: 3000 })
      await warmUp(database, ways.length)
      proxy.swallow({ connections: 'all' })
      for (const error of await Promise.all(ways.map((way) => rejection(soon(() => way.run(database, PID)))))) {
        expectCause(error, { name: 'PoolTimeoutError' })
        expectCause(error, { name: 'ConnectError', code: 'ETIMEDOUT' })
      }
      await proxy.heal()
      await expectHealthy(database, place)
    })

    test.concurrent('A3: the first statements after the process was frozen are served, however long prePing.idleMillis is', async ({
      cluster,
      direct,
      applicationName,
    }) => {
      await using service = await Service.start(subject, { ...direct, max: 3, prePing: { idleMillis: 600_000 } })
      await service.warmUp(3)
      await service.prepareForThaw(Array(3).fill('select 1 as one'))
      service.freeze()
      const frozenAt = performance.now()
      await cluster.terminateBackends({ applicationName })
      await until(async () => (await cluster.countSessions({ applicationName })) === 0)
      await until(() => performance.now() - frozenAt > FREEZE_MILLIS, { what: 'the freeze to last long enough' })
      service.thaw()
      expect(await service.resultsOfThaw()).toEqual(Array(3).fill([{ one: 1 }]))
      expect(await service.run('select 1 as one')).toEqual([{ one: 1 }])
      await until(async () => {
        const [total, idle, waiting] = await service.counts()
        return idle === total && waiting === 0
      })
      expect(await service.end()).toEqual({ code: 0, stderr: '' })
    })

    test.concurrent('A5: a statement rejects within the deadline, with the connection error, when the server is gone', async ({
      proxy,
      proxied,
      place,
    }) => {
      await using database = await open(subject, { ...proxied, max: ways.length, connectionTimeoutMillis: 3000 })
      await warmUp(database, ways.length)
      proxy.swallow({ connections: 'existing' })
      proxy.refuse()
      for (const error of await Promise.all(ways.map((way) => rejection(soon(() => way.run(database, PID))))))
        expectCause(error, { name: 'ConnectError', code: 'ECONNREFUSED' })
      await proxy.heal()
      await expectHealthy(database, place)
    })

    test('A4: an idle session that timed out is retired, and no other', async ({ cluster, proxy, proxied, place }) => {
      const size = 3
      await using database = await open(subject, { ...proxied, max: size })
      const meet = meeting(size)
      let victim = 0
      const pids = await Promise.all(
        Array.from({ length: size }, (_, index) =>
          database.transaction(async (tx) => {
            const pid = await backendPid(tx)
            if (index === 0) victim = pid
            await meet()
            // The setting stays, since the transaction commits.
            if (index === 0) await tx.run('set idle_session_timeout = 200')
            return pid
          }),
        ),
      )
      const deliver = await unnoticed(proxy, () =>
        until(async () => (await cluster.countSessions({ pid: victim })) === 0),
      )
      const afterwards = warmUp(database, size)
      deliver()
      const newPids = await afterwards
      expect(newPids).not.toContain(victim)
      expect(newPids).toEqual(expect.arrayContaining(pids.filter((pid) => pid !== victim)))
      await expectHealthy(database, place)
    })

    test('A6: connections whose ping was answered while the event loop was blocked are kept', async ({
      direct,
      place,
    }) => {
      const prePing = { idleMillis: 0, timeoutMillis: PING_TIMEOUT_MILLIS }
      await using database = await open(subject, { ...direct, max: 3, prePing })
      const pids = await warmUp(database, 3)
      const statements = pids.map(() => database.run('select pg_backend_pid() as pid, pg_sleep(0.1)'))
      // Blocks the event loop until the pings have timed out.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * PING_TIMEOUT_MILLIS)
      const results = await settles(Promise.all(statements), 'the statements')
      expect(results.map(([row]) => row?.pid).sort()).toEqual(pids.sort())
      await expectHealthy(database, place)
    })

    test('A6: a statement that was answered while the event loop was blocked resolves', async ({
      cluster,
      direct,
      applicationName,
      place,
    }) => {
      await using database = await open(subject, { ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
      await database.run('select 1')
      await cluster.withAdmin(async (admin) => {
        const { rows } = await admin.query(`select pg_advisory_lock(${LOCK}), pg_backend_pid() as pid`)
        const id = `A6 ${subject.name}`
        const startedAt = performance.now()
        const insert = `with lock as materialized (select pg_advisory_xact_lock(${LOCK})) insert into entry select '${id}' from lock`
        const statement = unattended(database.run(insert))
        await until(async () =>
          (await cluster.sessions({ applicationName })).some(({ waitEvent }) => waitEvent === 'advisory'),
        )
        const remaining = QUERY_TIMEOUT_MILLIS - (performance.now() - startedAt)
        const config = cluster.config({ user: 'postgres' })
        blockWhile({ config, lockHolder: rows[0]?.pid, id, atLeastMillis: remaining + 200 })
        await settles(statement, 'the insert')
        expect(await written(cluster, id)).toEqual([id])
      })
      await expectHealthy(database, place)
    })

    test('A: an idle connection that is known to be dead is replaced', async ({ database, cluster, place }) => {
      const [pid] = await warmUp(database, 1)
      await kill(cluster, pid as number)
      for (const { run } of ways) expect(await run(database, 'select 1 as one')).toEqual([{ one: 1 }])
      await expectHealthy(database, place)
    })
  })
}

/** With a shorter deadline than the pool's, which needs a longer one to open its connections on a busy machine. */
function soon<T>(work: () => Promise<T>): Promise<T> {
  return withPoolOptions({ connectionTimeoutMillis: 1200 }, work)
}

/** Blocks this process's event loop, while another process releases the lock that the server waits for. */
function blockWhile(blockade: Blockade): void {
  const program = fileURLToPath(new URL('../../faults/programs/while-blocked.ts', import.meta.url))
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--experimental-strip-types', '--no-warnings', program, JSON.stringify(blockade)],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(stderr)
}
