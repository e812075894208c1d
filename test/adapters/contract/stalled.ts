import { describe, expect } from 'vitest'
import { rejection, settles } from '../../faults/support/settling.ts'
import { type Link, until } from '../../support/index.ts'
import type { Subject } from '../subject.ts'
import { expectCause, expectIdleLoss, expectLoss } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { expectHealthy, written } from '../support/health.ts'
import { once, open, warmUp } from '../support/open.ts'
import { waysOf } from '../support/ways.ts'

const ENDLESS = "select pg_sleep('infinity')"
const QUERY_TIMEOUT_MILLIS = 300

/** Expects the loss by `query_timeout`. The driver's own error has no code. */
function expectTimedOut(error: unknown, facts: object): void {
  expectLoss(error, { code: '08006', ...facts })
  expectCause(error, { message: 'Query read timeout' })
}

class NotEnoughMoney extends Error {}

/** Where in a transaction the server stalls. */
const STALLS = [
  { where: 'at a plain statement', phase: 'query', commitOutcome: 'unknown' },
  { where: 'at BEGIN', phase: 'transaction', commitOutcome: 'aborted' },
  { where: 'at the second statement', phase: 'transaction', commitOutcome: 'aborted' },
  { where: 'at COMMIT', phase: 'commit', commitOutcome: 'unknown' },
] as const

/** SCENARIOS B4 and B5: the server doesn't answer. */
export function describeStalled(subject: Subject): void {
  const test = contractTest(subject)
  const ways = waysOf(subject)
  // A ping would find the frozen backend before the statement is sent. And after a lost COMMIT the frozen server can't be asked.
  const options = {
    query_timeout: QUERY_TIMEOUT_MILLIS,
    prePing: { idleMillis: 60_000 },
    lostCommit: 'report',
  } as const

  // Concurrent, since nearly all of it is waiting.
  describe.concurrent('B: a server that does not answer', () => {
    test.for(ways)(
      'B4: the connection of a server that does not answer is retired after query_timeout, in $way',
      async (way, { cluster, direct, applicationName, place }) => {
        await using database = await open(subject, { ...direct, ...options, max: 1 })
        const error = await rejection(way.run(database, ENDLESS))
        const outcome = way.isTransaction ? 'aborted' : 'unknown'
        // TypeORM's runner refuses ROLLBACK, and that error replaces the first one.
        if (subject.limits?.includes('hides losses') && way.way === 'a controlled transaction')
          expectIdleLoss(subject, error)
        else expectTimedOut(error, { sent: true, commitOutcome: outcome })
        for (const { run } of ways)
          expect(await settles(run(database, 'select 1 as one'), 'the next statement')).toEqual([{ one: 1 }])
        // Its socket is closed. The server still runs the statement until it notices that.
        await cluster.terminateBackends({ applicationName, state: 'active' })
        await expectHealthy(database, place)
      },
    )

    test.for(STALLS)(
      'B4: no later write is lost when the server stalls $where and recovers',
      async ({ where, phase, commitOutcome }, { cluster, direct, place }) => {
        await using database = await open(subject, { ...direct, ...options, max: 1 })
        const [pid] = (await warmUp(database, 1)) as [number]
        const [id, later] = [`B4 ${where}`, `B4 ${where}, later`]
        const freezeAt = async (here: string): Promise<void> => {
          if (here === where) await cluster.freezeBackend(pid)
        }
        await freezeAt('at a plain statement')
        await freezeAt('at BEGIN')
        const stalled =
          where === 'at a plain statement'
            ? database.insert(id)
            : database.transaction(async (tx) => {
                await tx.run('select 1')
                await freezeAt('at the second statement')
                await tx.insert(id)
                await freezeAt('at COMMIT')
              }, once(subject))
        expectTimedOut(await rejection(stalled), { phase, commitOutcome })
        const next = database.insert(later)
        await cluster.thawBackend(pid)
        await settles(next, 'the next insert')
        await until(async () => (await cluster.countSessions({ pid })) === 0)
        expect(await written(cluster, later)).toEqual([later])
        if (commitOutcome === 'aborted') expect(await written(cluster, id)).toEqual([])
        await expectHealthy(database, place)
      },
    )

    test.for(ways)(
      'B5: $way rejects after query_timeout in a black hole',
      async (way, { cluster, proxy, proxied, applicationName, place }) => {
        await using database = await open(subject, { ...proxied, ...options, max: 3 })
        await warmUp(database, 3)
        const [...links] = proxy.links
        const failed = links.map(() => rejection(way.run(database, ENDLESS)))
        proxy.swallow({ connections: 'existing' })
        for (const error of await Promise.all(failed)) expectLoss(error, { code: '08006' })
        await settles(Promise.all(links.map((link) => link.clientLeft)), 'the end of the sockets')
        await proxy.heal()
        await cluster.terminateBackends({ applicationName, state: 'active' })
        await expectHealthy(database, place)
      },
    )

    test("B5, B9: the application's own error stays as it is when ROLLBACK gets no answer", async ({
      cluster,
      proxy,
      proxied,
      place,
    }) => {
      await using database = await open(subject, { ...proxied, ...options, max: 1 })
      let link: Link | undefined
      const transaction = database.transaction(async (tx) => {
        await tx.insert('B5 rolled back')
        link = proxy.links[0]
        proxy.swallow({ connections: 'existing' })
        throw new NotEnoughMoney()
      }, once(subject))
      expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
      await settles((link as Link).clientLeft, 'the end of the socket')
      await proxy.heal()
      await expectHealthy(database, place)
      expect(await written(cluster, 'B5 rolled back')).toEqual([])
    })
  })
}
