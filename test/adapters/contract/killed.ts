import { describe, expect } from 'vitest'
import { rejection, settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import { type Cluster, until } from '../../support/index.ts'
import type { Database, Subject, Tx } from '../subject.ts'
import { expectIdleLoss, expectLoss } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { busyBackend, expectHealthy, kill, killAndTell, written } from '../support/health.ts'
import { backendPid, once, open, warmUp } from '../support/open.ts'
import { Service } from '../support/service.ts'
import { beginIn, preparedIn, waysOf } from '../support/ways.ts'

// A block may commit on its way, so that the pool doesn't run it again by itself.
const ENDLESS = "do $$ begin perform pg_sleep('infinity'); end $$"
const ENDLESS_READ = "select pg_sleep('infinity')"

/** The loss of a session that an administrator ended in a transaction: it is certain that nothing was written. */
const ABORTED = { code: '57P01', phase: 'transaction', commitOutcome: 'aborted' }

class NotEnoughMoney extends Error {}

/** The next call in a transaction whose connection was killed while it was idle. */
const NEXT: readonly { readonly next: string; readonly go: (tx: Tx) => Promise<unknown> }[] = [
  { next: 'the next statement', go: (tx) => tx.run('select 1') },
  { next: 'the next insert', go: (tx) => tx.insert('never') },
  { next: 'a nested transaction', go: (tx) => tx.savepoint((inner) => inner.run('select 1')) },
  { next: 'COMMIT', go: async () => {} },
]

/** SCENARIOS B1 to B3, B9 and B10: the connection was killed while it was leased. */
export function describeKilled(subject: Subject): void {
  const test = contractTest(subject)
  const ways = waysOf(subject)

  describe('B: a connection that was killed while it was leased', () => {
    test('B1, B2: a killed connection does not end a process without listeners, which later exits by itself', async ({
      cluster,
      direct,
      applicationName,
      place,
    }) => {
      await using service = await Service.start(subject, { ...direct, max: 1 })
      await service.hold()
      await cluster.terminateBackends({ applicationName })
      await until(async () => (await cluster.countSessions({ applicationName })) === 0)
      // Its slot is free, although the client wasn't released.
      expect(await service.run('select 1 as one')).toEqual([{ one: 1 }])
      expectIdleLoss(subject, await rejection(service.goOn('select 1')), ABORTED)

      const failed = rejection(service.run(ENDLESS))
      await cluster.terminateBackends({ pid: await busyBackend(place, ENDLESS) })
      expectLoss(await failed, { code: '57P01', phase: 'query' })

      await service.hold()
      const failedInTransaction = rejection(service.goOn(ENDLESS))
      await cluster.terminateBackends({ pid: await busyBackend(place, ENDLESS) })
      expectLoss(await failedInTransaction, ABORTED)
      expect(await service.run('select 1 as one')).toEqual([{ one: 1 }])
      expect(await service.end()).toEqual({ code: 0, stderr: '' })
    })

    test.for(NEXT)(
      'B1: $next rejects with the first cause when the connection was killed between two statements',
      async ({ go }, { database, cluster, place }) => {
        const id = `B1 ${subject.name}`
        const transaction = database.transaction(async (tx) => {
          await tx.insert(id)
          await killAndTell(database, cluster, await backendPid(tx))
          await go(tx)
        }, once(subject))
        expectIdleLoss(subject, await rejection(transaction), { ...ABORTED, sent: false })
        expect(await written(cluster, id)).toEqual([])
        await expectHealthy(database, place)
      },
    )

    test('B1: a nested transaction and the outer one reject with the first cause when the connection is killed', async ({
      database,
      cluster,
      place,
    }) => {
      let inside: unknown
      const transaction = database.transaction(async (tx) => {
        await tx.insert('B1 nested')
        inside = await rejection(
          tx.savepoint(async (inner) => {
            await killAndTell(database, cluster, await backendPid(inner))
            await inner.run('select 1')
          }),
        )
        await tx.run('select 1')
      }, once(subject))
      expectIdleLoss(subject, await rejection(transaction), ABORTED)
      expectIdleLoss(subject, inside, ABORTED)
      expect(await written(cluster, 'B1 nested')).toEqual([])
      await expectHealthy(database, place)
    })

    if (subject.can.includes('begin'))
      test('B1: COMMIT of a controlled transaction rejects with the first cause when the connection is killed', async ({
        database,
        cluster,
        place,
      }) => {
        const tx = await beginIn(database)
        await tx.insert('B1 controlled')
        await killAndTell(database, cluster, await backendPid(tx))
        expectIdleLoss(subject, await rejection(tx.run('select 1')), ABORTED)
        expectIdleLoss(subject, await rejection(tx.commit()), ABORTED)
        expect(await written(cluster, 'B1 controlled')).toEqual([])
        await expectHealthy(database, place)
      })

    test.for(ways)(
      'B2: $way rejects, and every waiter gets a live connection, when a connection is killed while a statement runs',
      async (way, { database, cluster, place }) => {
        const failed = rejection(way.run(database, way.way === 'a stream' ? ENDLESS_READ : ENDLESS))
        const pid = await busyBackend(place, "pg_sleep('infinity')")
        const waiters = ways.map(({ run }) => run(database, 'select 1 as one'))
        await cluster.terminateBackends({ pid })
        expectLoss(
          await failed,
          way.isTransaction ? ABORTED : { code: '57P01', phase: 'query', commitOutcome: 'unknown' },
        )
        expect(await settles(Promise.all(waiters), 'the waiters')).toEqual(ways.map(() => [{ one: 1 }]))
        await expectHealthy(database, place)
      },
    )

    if (subject.can.includes('prepared'))
      test('B2: a prepared statement whose connection is killed runs again on the next one', async ({
        database,
        cluster,
        place,
      }) => {
        await preparedIn(database, 'none')
        let answer: Promise<unknown> | undefined
        await cluster.withAdmin(async (admin) => {
          await admin.query('begin; lock table entry')
          answer = preparedIn(database, 'none')
          await cluster.terminateBackends({ pid: await busyBackend(place) })
          await admin.query('commit')
        })
        expect(await settles(answer as Promise<unknown>, 'the statement')).toEqual([])
        expect(await preparedIn(database, 'none')).toEqual([])
        await expectHealthy(database, place)
      })

    test.for(ways.filter(({ way, isTransaction }) => !isTransaction && way !== 'a stream'))(
      'B15: $way runs again when the server has ended its session',
      async (way, { database, cluster, place }) => {
        const id = `B15 ${way.way}`
        let answer: Promise<unknown> | undefined
        await cluster.withAdmin(async (admin) => {
          await admin.query('begin; lock table entry in exclusive mode')
          answer = way.run(database, `insert into entry values ('${id}')`)
          await cluster.terminateBackends({ pid: await busyBackend(place, id) })
          await admin.query('commit')
        })
        await settles(answer as Promise<unknown>, 'the insert')
        expect(await written(cluster, id)).toEqual([id])
        await expectHealthy(database, place)
      },
    )

    test('B3: BEGIN runs again when its connection is killed there, more often than there are slots', async ({
      cluster,
      direct,
      place,
    }) => {
      await using database = await open(subject, { ...direct, max: 2, prePing: { idleMillis: 60_000 } })
      for (let time = 1; time <= 4; time++) expect(await killAtBegin(database, cluster, subject)).toEqual([{ one: 1 }])
      await warmUp(database, 2)
      await expectHealthy(database, place)
    })

    test.for([{ where: 'a transaction' }, { where: 'a nested transaction' }] as const)(
      "B9: the application's own error stays as it is when the connection is killed in $where",
      async ({ where }, { database, cluster, place }) => {
        const refuse = async (tx: Tx): Promise<void> => {
          await killAndTell(database, cluster, await backendPid(tx))
          throw new NotEnoughMoney()
        }
        const transaction = database.transaction(
          (tx) => (where === 'a transaction' ? refuse(tx) : tx.savepoint(refuse)),
          once(subject),
        )
        expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
        await expectHealthy(database, place)
      },
    )

    test("B9: the application's own error stays as it is when it replaces the error of a lost statement", async ({
      database,
      cluster,
      place,
    }) => {
      const transaction = database.transaction(async (tx) => {
        await kill(cluster, await backendPid(tx))
        await tx.run('select 1').catch(() => {
          throw new NotEnoughMoney()
        })
      }, once(subject))
      expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
      await expectHealthy(database, place)
    })

    if (subject.can.includes('begin'))
      test('B9: ROLLBACK of a controlled transaction resolves when the connection is killed', async ({
        database,
        cluster,
        place,
      }) => {
        const tx = await beginIn(database)
        await killAndTell(database, cluster, await backendPid(tx))
        if (subject.limits?.includes('hides losses')) expectIdleLoss(subject, await rejection(tx.rollback()))
        else await settles(tx.rollback(), 'ROLLBACK')
        await expectHealthy(database, place)
      })

    test('B10: a callback that still runs has no part in the transaction that has its slot now', async ({
      database,
      cluster,
      place,
    }) => {
      let late: Promise<unknown> | undefined
      const transaction = database.transaction(async (tx) => {
        await killAndTell(database, cluster, await backendPid(tx))
        // By now another transaction has its slot.
        const next = database.transaction(async (other) => {
          await other.insert("B10, the next transaction's own")
          late = rejection(tx.insert('B10, acknowledged'))
          await late
        })
        await settles(next, 'the next transaction')
        await tx.run('select 1')
      }, once(subject))
      expectIdleLoss(subject, await rejection(transaction), ABORTED)
      expectIdleLoss(subject, await late, { sent: false })
      expect(await written(cluster, 'B10, acknowledged', "B10, the next transaction's own")).toEqual([
        "B10, the next transaction's own",
      ])
      await expectHealthy(database, place)
    })

    if (!subject.limits?.includes('keeps callbacks'))
      test('B10: a callback that still runs after its transaction is refused while another one has the connection', async ({
        database,
        cluster,
        place,
      }) => {
        const { promise: ended, resolve: end } = deferred()
        let late: Promise<unknown> | undefined
        await database.transaction(async (tx) => {
          await tx.run('select 1')
          late = ended.then(() => tx.insert('B10, in the next transaction'))
          late.catch(() => {})
        })
        const next = database.transaction(async (other) => {
          await other.run('select 1')
          end()
          await rejection(late as Promise<unknown>)
        })
        await settles(next, 'the next transaction')
        expect(await written(cluster, 'B10, in the next transaction')).toEqual([])
        await expectHealthy(database, place)
      })

    test('B10: a statement of a transaction that has ended by a loss is refused', async ({
      database,
      cluster,
      place,
    }) => {
      let ended: Tx | undefined
      await database.transaction(async (tx) => {
        ended = tx
        await tx.run('select 1')
      })
      await rejection((ended as Tx).insert('B10, late'))
      expect(await written(cluster, 'B10, late')).toEqual([])
      await expectHealthy(database, place)
    })
  })
}

/** Ends the session while BEGIN is in flight: its backend is frozen until then. */
async function killAtBegin(database: Database, cluster: Cluster, subject: Subject): Promise<unknown> {
  const pid = await backendPid(database)
  await cluster.freezeBackend(pid)
  const rows = database.transaction((tx) => tx.run('select 1 as one'), once(subject))
  await cluster.terminateBackends({ pid })
  await cluster.thawBackend(pid)
  await until(async () => (await cluster.countSessions({ pid })) === 0)
  return await settles(rows, 'the transaction')
}
