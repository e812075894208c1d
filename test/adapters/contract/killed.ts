import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { rejection, settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import { type Cluster, until } from '../../support/index.ts'
import type { Database, Subject, Tx } from '../subject.ts'
import { expectIdleLoss, expectLoss } from '../support/causes.ts'
import { busyBackend, expectHealthy, kill, killAndTell, written } from '../support/health.ts'
import { backendPid, once, open, warmUp } from '../support/open.ts'
import { Service } from '../support/service.ts'
import { beginIn, preparedIn, waysOf } from '../support/ways.ts'

const FOR_EVER = "select pg_sleep('infinity')"

/** An administrator's word, in a transaction: nothing of it was written, and that is certain. */
const ABORTED = { code: '57P01', phase: 'transaction', commitOutcome: 'aborted' }

class NotEnoughMoney extends Error {}

/** What comes next in a transaction whose connection was killed while it was idle. */
const NEXT: readonly { readonly next: string; readonly go: (tx: Tx) => Promise<unknown> }[] = [
  { next: 'the next statement', go: (tx) => tx.run('select 1') },
  { next: 'the next insert', go: (tx) => tx.insert('never') },
  { next: 'a nested transaction', go: (tx) => tx.savepoint((inner) => inner.run('select 1')) },
  { next: 'COMMIT', go: async () => {} },
]

/** SCENARIOS B1 to B3, B9 and B10: the connection was killed in use. */
export function describeKilled(subject: Subject): void {
  const ways = waysOf(subject)

  describe('B: the connection was killed in use', () => {
    test('B1, B2: a process without any listener lives on, and ends by itself', async ({
      cluster,
      direct,
      applicationName,
    }) => {
      await using service = await Service.start(subject, { ...direct, max: 1 })
      await service.hold()
      await cluster.terminateBackends({ applicationName })
      await until(async () => (await cluster.countSessions({ applicationName })) === 0)
      // Its slot is free, although nobody has released it.
      expect(await service.run('select 1 as one')).toEqual([{ one: 1 }])
      expectIdleLoss(subject, await rejection(service.goOn('select 1')), ABORTED)

      const failed = rejection(service.run(FOR_EVER))
      await cluster.terminateBackends({ pid: await busyBackend({ cluster, applicationName }, FOR_EVER) })
      expectLoss(await failed, { code: '57P01', phase: 'query' })

      await service.hold()
      const failedInTransaction = rejection(service.goOn(FOR_EVER))
      await cluster.terminateBackends({ pid: await busyBackend({ cluster, applicationName }, FOR_EVER) })
      expectLoss(await failedInTransaction, ABORTED)
      expect(await service.run('select 1 as one')).toEqual([{ one: 1 }])
      expect(await service.end()).toEqual({ code: 0, stderr: '' })
    })

    test.for(NEXT)(
      'B1: killed between two statements, $next tells the first cause',
      async ({ go }, { cluster, direct, applicationName }) => {
        await using database = await open(subject, { ...direct, max: 1 })
        const id = `B1 ${subject.name}`
        const transaction = database.transaction(async (tx) => {
          await tx.insert(id)
          await killAndTell(database, cluster, await backendPid(tx))
          await go(tx)
        }, once(subject))
        expectIdleLoss(subject, await rejection(transaction), { ...ABORTED, sent: false })
        expect(await written(cluster, id)).toEqual([])
        await expectHealthy(database, { cluster, applicationName })
      },
    )

    test('B1: killed inside a nested transaction, the first cause is told, inside and outside', async ({
      cluster,
      direct,
      applicationName,
    }) => {
      await using database = await open(subject, { ...direct, max: 1 })
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
      await expectHealthy(database, { cluster, applicationName })
    })

    if (subject.can.includes('begin'))
      test('B1: killed in a controlled transaction, COMMIT tells the first cause', async ({
        cluster,
        direct,
        applicationName,
      }) => {
        await using database = await open(subject, { ...direct, max: 1 })
        const tx = await beginIn(database)
        await tx.insert('B1 controlled')
        await killAndTell(database, cluster, await backendPid(tx))
        expectIdleLoss(subject, await rejection(tx.run('select 1')), ABORTED)
        expectIdleLoss(subject, await rejection(tx.commit()), ABORTED)
        expect(await written(cluster, 'B1 controlled')).toEqual([])
        await expectHealthy(database, { cluster, applicationName })
      })

    test.for(ways)(
      'B2: killed while it runs, whoever waits gets a live connection: $way',
      async (way, { cluster, direct, applicationName }) => {
        await using database = await open(subject, { ...direct, max: 1 })
        const failed = rejection(way.run(database, FOR_EVER))
        const pid = await busyBackend({ cluster, applicationName }, "pg_sleep('infinity')")
        const waiters = ways.map(({ run }) => run(database, 'select 1 as one'))
        await cluster.terminateBackends({ pid })
        expectLoss(
          await failed,
          way.isTransaction ? ABORTED : { code: '57P01', phase: 'query', commitOutcome: 'unknown' },
        )
        expect(await settles(Promise.all(waiters), 'the waiters')).toEqual(ways.map(() => [{ one: 1 }]))
        await expectHealthy(database, { cluster, applicationName })
      },
    )

    if (subject.can.includes('prepared'))
      test('B2: killed while a prepared statement runs', async ({ cluster, direct, applicationName }) => {
        await using database = await open(subject, { ...direct, max: 1 })
        await preparedIn(database, 'nobody')
        await cluster.withAdmin(async (admin) => {
          await admin.query('begin; lock table entry')
          const failed = rejection(preparedIn(database, 'nobody'))
          await cluster.terminateBackends({ pid: await busyBackend({ cluster, applicationName }) })
          expectLoss(await failed, { code: '57P01', phase: 'query' })
        })
        expect(await preparedIn(database, 'nobody')).toEqual([])
        await expectHealthy(database, { cluster, applicationName })
      })

    test('B3: killed at BEGIN, more often than there are slots, it costs none', async ({
      cluster,
      direct,
      applicationName,
    }) => {
      await using database = await open(subject, { ...direct, max: 2, prePing: { idleMillis: 60_000 } })
      for (let time = 1; time <= 4; time++) {
        const failed = await failAtBegin(database, cluster, subject)
        expectLoss(failed, ABORTED)
      }
      await warmUp(database, 2)
      await expectHealthy(database, { cluster, applicationName })
    })

    test.for([{ where: 'a transaction' }, { where: 'a nested transaction' }] as const)(
      "B9: the application's own error survives when the connection is gone: $where",
      async ({ where }, { cluster, direct, applicationName }) => {
        await using database = await open(subject, { ...direct, max: 1 })
        const refuse = async (tx: Tx): Promise<void> => {
          await killAndTell(database, cluster, await backendPid(tx))
          throw new NotEnoughMoney()
        }
        const transaction = database.transaction(
          (tx) => (where === 'a transaction' ? refuse(tx) : tx.savepoint(refuse)),
          once(subject),
        )
        expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
        await expectHealthy(database, { cluster, applicationName })
      },
    )

    test("B9: the application's own error survives a statement that died with the connection, if it says so", async ({
      cluster,
      direct,
      applicationName,
    }) => {
      await using database = await open(subject, { ...direct, max: 1 })
      const transaction = database.transaction(async (tx) => {
        await kill(cluster, await backendPid(tx))
        await tx.run('select 1').catch(() => {
          throw new NotEnoughMoney()
        })
      }, once(subject))
      expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
      await expectHealthy(database, { cluster, applicationName })
    })

    if (subject.can.includes('begin'))
      test('B9: the ROLLBACK of a controlled transaction resolves when the connection is gone', async ({
        cluster,
        direct,
        applicationName,
      }) => {
        await using database = await open(subject, { ...direct, max: 1 })
        const tx = await beginIn(database)
        await killAndTell(database, cluster, await backendPid(tx))
        if (subject.limits?.includes('hides losses')) expectIdleLoss(subject, await rejection(tx.rollback()))
        else await settles(tx.rollback(), 'ROLLBACK')
        await expectHealthy(database, { cluster, applicationName })
      })

    test('B10: a callback that runs on when its connection is gone touches nobody', async ({
      cluster,
      direct,
      applicationName,
    }) => {
      await using database = await open(subject, { ...direct, max: 1 })
      let runsOn: Promise<unknown> | undefined
      const transaction = database.transaction(async (tx) => {
        await killAndTell(database, cluster, await backendPid(tx))
        // By now its slot is somebody else's.
        const stranger = database.transaction(async (other) => {
          await other.insert("B10, the stranger's own")
          runsOn = rejection(tx.insert('B10, acknowledged'))
          await runsOn
        })
        await settles(stranger, "the stranger's transaction")
        await tx.run('select 1')
      }, once(subject))
      expectIdleLoss(subject, await rejection(transaction), ABORTED)
      expectIdleLoss(subject, await runsOn, { sent: false })
      expect(await written(cluster, 'B10, acknowledged', "B10, the stranger's own")).toEqual([
        "B10, the stranger's own",
      ])
      await expectHealthy(database, { cluster, applicationName })
    })

    if (!subject.limits?.includes('lets zombies in'))
      test("B10: a callback that runs on when its transaction has ended meets nobody's session", async ({
        cluster,
        direct,
        applicationName,
      }) => {
        await using database = await open(subject, { ...direct, max: 1 })
        const { promise: ended, resolve: end } = deferred()
        let runsOn: Promise<unknown> | undefined
        await database.transaction(async (tx) => {
          await tx.run('select 1')
          runsOn = ended.then(() => tx.insert('B10, in a stranger'))
          runsOn.catch(() => {})
        })
        const stranger = database.transaction(async (other) => {
          await other.run('select 1')
          end()
          await rejection(runsOn as Promise<unknown>)
        })
        await settles(stranger, "the stranger's transaction")
        expect(await written(cluster, 'B10, in a stranger')).toEqual([])
        await expectHealthy(database, { cluster, applicationName })
      })

    test('B10: a callback that runs on when its transaction has ended is refused', async ({
      cluster,
      direct,
      applicationName,
    }) => {
      await using database = await open(subject, { ...direct, max: 1 })
      let zombie: Tx | undefined
      await database.transaction(async (tx) => {
        zombie = tx
        await tx.run('select 1')
      })
      await rejection((zombie as Tx).insert('B10, late'))
      expect(await written(cluster, 'B10, late')).toEqual([])
      await expectHealthy(database, { cluster, applicationName })
    })
  })
}

/** Frozen, so that BEGIN is under way when the session ends. */
async function failAtBegin(database: Database, cluster: Cluster, subject: Subject): Promise<unknown> {
  const pid = await backendPid(database)
  await cluster.freezeBackend(pid)
  const failed = rejection(database.transaction((tx) => tx.run('select 1'), once(subject)))
  await cluster.terminateBackends({ pid })
  await cluster.thawBackend(pid)
  const error = await failed
  await until(async () => (await cluster.countSessions({ pid })) === 0)
  return error
}
