import { describe, expect } from 'vitest'
import { rejection, settles } from '../../faults/support/settling.ts'
import type { Link } from '../../support/index.ts'
import type { Subject } from '../subject.ts'
import { expectCause, expectLoss } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { expectHealthy, written } from '../support/health.ts'
import { backendPid, once, open, warmUp } from '../support/open.ts'
import { beginIn, waysOf } from '../support/ways.ts'

const SIZE = 3
const DUPLICATE = { code: '23505', constraint: 'entry_pkey' }

/** SCENARIOS B7, B8 and C6: an error of one caller affects no other caller, and a swallowed error isn't a success. */
export function describeHarmless(subject: Subject): void {
  const test = contractTest(subject)
  describe('B: an error of one caller', () => {
    test.for(['to-client', 'to-server'] as const)(
      'B7: a changed byte of a TLS record fails one statement, and the connections that answer a ping are kept (%s)',
      async (direction, { proxy, proxied, place }) => {
        await using database = await open(subject, { ...proxied, max: SIZE, prePing: { idleMillis: 60_000 } })
        const oldPids = await warmUp(database, SIZE)
        const corrupted = (proxy.links[0] as Link).corrupt(direction)
        const statements = Array.from({ length: 5 * SIZE }, () => database.run('select pg_sleep(0.01)'))
        const results = await settles(Promise.allSettled(statements), 'the statements')
        expect(await corrupted).toBe(true)
        const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
        expect(errors).toHaveLength(1)
        expectLoss(errors[0], { phase: 'query', sent: true, commitOutcome: 'unknown' })
        const kept = (await warmUp(database, SIZE)).filter((pid) => oldPids.includes(pid))
        expect(kept).toHaveLength(SIZE - 1)
        await expectHealthy(database, place)
      },
    )

    test('B8: a unique violation is told as it is, and the connection is kept', async ({
      database,
      cluster,
      place,
    }) => {
      await cluster.query("insert into entry values ('B8') on conflict do nothing")
      const pid = await backendPid(database)
      expectCause(await rejection(database.insert('B8')), DUPLICATE)
      expect(await backendPid(database)).toBe(pid)
      const transaction = database.transaction(async (tx) => {
        await tx.insert('B8, undone')
        await tx.insert('B8')
      }, once(subject))
      expectCause(await rejection(transaction), DUPLICATE)
      expect(await backendPid(database)).toBe(pid)
      expect(await written(cluster, 'B8, undone')).toEqual([])
      await expectHealthy(database, place)
    })

    test('B8: a unique violation rolls back only the nested transaction in which it occurs', async ({
      database,
      cluster,
      place,
    }) => {
      await cluster.query("insert into entry values ('B8') on conflict do nothing")
      const [before, inside, after] = ['before', 'inside', 'after'].map((each) => `B8 ${each} ${subject.name}`) as [
        string,
        string,
        string,
      ]
      await database.transaction(async (tx) => {
        await tx.insert(before)
        const nested = tx.savepoint(async (inner) => {
          await inner.insert(inside)
          await inner.insert('B8')
        })
        expectCause(await rejection(nested), DUPLICATE)
        await tx.insert(after)
      })
      expect(await written(cluster, before, inside, after)).toEqual([after, before])
      await expectHealthy(database, place)
    })

    test.for(waysOf(subject))(
      'B8: the connection is released after an SQL error in $way',
      async ({ run }, { database, place }) => {
        const pid = await backendPid(database)
        for (let time = 1; time <= 3; time++) {
          expectCause(await rejection(run(database, 'select 1 / 0')), { code: '22012' })
          expect(await backendPid(database)).toBe(pid)
        }
        await expectHealthy(database, place)
      },
    )
  })

  describe('C: COMMIT after a swallowed error', () => {
    const rolledBack = { name: 'TransactionRolledBackError', code: '40000' }

    test('C6: COMMIT after a swallowed error rejects, and nothing is written, in a transaction', async ({
      database,
      cluster,
      place,
    }) => {
      const pid = await backendPid(database)
      const transaction = database.transaction(async (tx) => {
        await tx.insert('C6')
        await tx.run('select 1 / 0').catch(() => {})
      }, once(subject))
      const error = await rejection(transaction)
      expectCause(error, rolledBack)
      expectCause(error, { code: '22012' })
      expect(await written(cluster, 'C6')).toEqual([])
      expect(await backendPid(database)).toBe(pid)
      await expectHealthy(database, place)
    })

    if (subject.can.includes('begin'))
      test('C6: COMMIT after a swallowed error rejects, and nothing is written, in a controlled transaction', async ({
        database,
        cluster,
        place,
      }) => {
        const tx = await beginIn(database)
        await tx.insert('C6 controlled')
        await rejection(tx.run('select 1 / 0'))
        expectCause(await rejection(tx.commit()), rolledBack)
        expect(await written(cluster, 'C6 controlled')).toEqual([])
        await expectHealthy(database, place)
      })
  })
}
