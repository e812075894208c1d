import { describe, expect } from 'vitest'
import { rejection, settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import type { NamedAct, Point } from '../../support/index.ts'
import type { Subject, Tx } from '../subject.ts'
import { attemptsOf, CONFLICT } from '../support/attempts.ts'
import { expectCause, expectLoss } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { expectHealthy, kill, killAndTell, written } from '../support/health.ts'
import { AGAIN, backendPid, meeting, open, warmUp } from '../support/open.ts'

const ACCOUNTS = `create table if not exists account (id int primary key, balance int not null);
  grant all on account to app;
  insert into account values (1, 100), (2, 100) on conflict (id) do update set balance = 100`

class NotEnoughMoney extends Error {}

/** Where a connection can be lost before COMMIT was sent. */
const BEFORE_COMMIT: readonly { readonly when: string; readonly statement: RegExp; readonly point: Point }[] = [
  { when: 'before BEGIN is sent on', statement: /^(begin|start)/i, point: 'before-forward' },
  { when: 'on the reply of BEGIN', statement: /^(begin|start)/i, point: 'on-reply' },
  { when: 'on the reply of an insert', statement: /^insert/i, point: 'on-reply' },
  { when: 'on the reply of SAVEPOINT', statement: /^savepoint/i, point: 'on-reply' },
]

/** Where it can be lost afterwards: without asking the server, a pool can't know whether it committed. */
const AFTER_COMMIT: readonly {
  readonly point: Point
  readonly act: NamedAct
  readonly isCommitted: boolean | undefined
}[] = [
  { point: 'before-forward', act: 'rst', isCommitted: false },
  { point: 'after-forward', act: 'fin', isCommitted: undefined },
  { point: 'on-reply', act: 'fin', isCommitted: true },
  { point: 'on-reply', act: 'rst', isCommitted: true },
  { point: 'on-reply', act: 'swallow', isCommitted: true },
]

/** SCENARIOS C1 and C2, with every subject that retries; and what never runs again. */
export function describeRetry(subject: Subject): void {
  if (!subject.retries) return
  const test = contractTest(subject)

  describe('C1: a transaction whose connection is lost before COMMIT was sent', () => {
    test('C1: a transaction whose connection is lost runs again on a new connection, and commits once', async ({
      cluster,
      direct,
      place,
    }) => {
      await using database = await open(subject, direct)
      await warmUp(database, 3)
      const seen: [attempt: number, pid: number][] = []
      const result = await database.transaction(async (tx, { attempt }) => {
        const pid = await backendPid(tx)
        seen.push([attempt, pid])
        await tx.insert('C1')
        if (attempt === 1) await kill(cluster, pid)
        await tx.savepoint((inner) => inner.insert('C1, second'))
        return `attempt ${attempt}`
      }, AGAIN)
      expect(result).toBe('attempt 2')
      expect(seen.map(([attempt]) => attempt)).toEqual([1, 2])
      expect(seen[0]?.[1]).not.toBe(seen[1]?.[1])
      expect(await written(cluster, 'C1', 'C1, second')).toEqual(['C1', 'C1, second'])
      await expectHealthy(database, place)
    })

    test.for(['between its last statement and COMMIT', 'inside a nested transaction'] as const)(
      'C1: a transaction runs again when its connection is lost %s',
      async (where, { cluster, direct, place }) => {
        await using database = await open(subject, direct)
        const seen: number[] = []
        const id = `C1 ${where}`
        const killOnce = async (tx: Tx): Promise<void> => {
          if (seen.length === 1) await killAndTell(database, cluster, await backendPid(tx))
        }
        await database.transaction(async (tx, { attempt }) => {
          seen.push(attempt)
          await tx.insert(id)
          await (where === 'inside a nested transaction' ? tx.savepoint(killOnce) : killOnce(tx))
        }, AGAIN)
        expect(seen).toEqual([1, 2])
        expect(await written(cluster, id)).toEqual([id])
        await expectHealthy(database, place)
      },
    )

    test('C1: a transaction runs again when the server restarts', async ({ cluster, direct, place }) => {
      await using database = await open(subject, direct)
      const last = await database.transaction(async (tx, { attempt }) => {
        await tx.insert('C1 restart')
        if (attempt === 1) await cluster.restart('immediate')
        await tx.run('select 1')
        return attempt
      }, AGAIN)
      expect([last, await written(cluster, 'C1 restart')]).toEqual([2, ['C1 restart']])
      await expectHealthy(database, place)
    })

    test.for(BEFORE_COMMIT)(
      'C1: a transaction runs again when the network breaks $when',
      async ({ when, statement, point }, { cluster, aimed, aimedAt, place }) => {
        await using database = await open(subject, aimedAt)
        await database.run('select 1')
        const shot = aimed.aim({ statement, point }, 'rst')
        const id = `C1 ${when}`
        await database.transaction(async (tx) => {
          await tx.insert(id)
          await tx.savepoint((inner) => inner.run('select 1'))
        }, AGAIN)
        await shot.fired
        expect(await written(cluster, id)).toEqual([id])
        await expectHealthy(database, place)
      },
    )

    test('C1: a transaction whose connection is lost runs once with `retry: false`', async ({
      cluster,
      direct,
      place,
    }) => {
      await using database = await open(subject, direct)
      const { attempts, error } = await attemptsOf(
        database,
        async (tx) => {
          await kill(cluster, await backendPid(tx))
          await tx.run('select 1')
        },
        { retry: false },
      )
      expect(attempts).toEqual([1])
      expectLoss(error, { commitOutcome: 'aborted' })
      await expectHealthy(database, place)
    })
  })

  describe('C2: after a conflict', () => {
    test('C2: two transactions that read what the other writes (40001) both commit, one after the other', async ({
      cluster,
      direct,
      place,
    }) => {
      await cluster.query(ACCOUNTS)
      await using database = await open(subject, direct)
      const meet = meeting(2)
      const attempts: number[] = []
      const withdraw = (id: number): Promise<void> =>
        database.transaction(
          async (tx, { attempt }) => {
            attempts.push(attempt)
            const [row] = await tx.run('select sum(balance)::int as total from account')
            await meet()
            if ((row?.total as number) >= 200)
              await tx.run(`update account set balance = balance - 200 where id = ${id}`)
          },
          { ...AGAIN, isolationLevel: 'serializable' },
        )
      await settles(Promise.all([withdraw(1), withdraw(2)]), 'both')
      expect(attempts.toSorted()).toEqual([1, 1, 2])
      expect(await database.run('select sum(balance)::int as total from account')).toEqual([{ total: 0 }])
      await expectHealthy(database, place)
    })

    test('C2: the transaction that the server chose in a deadlock (40P01) runs again', async ({
      cluster,
      direct,
      place,
    }) => {
      await cluster.query(ACCOUNTS)
      await using database = await open(subject, direct)
      const meet = meeting(2)
      const inOrder = (first: number, second: number): Promise<number> =>
        database.transaction(async (tx, { attempt }) => {
          await tx.run(`update account set balance = balance + 1 where id = ${first}`)
          await meet()
          await tx.run(`update account set balance = balance + 1 where id = ${second}`)
          return attempt
        }, AGAIN)
      const ends = await settles(Promise.all([inOrder(1, 2), inOrder(2, 1)]), 'both')
      // Its second attempt may lock a row before the other transaction wakes up. Then there is another deadlock, and the
      // server chooses either of them.
      expect(Math.max(...ends)).toBeGreaterThan(1)
      expect(await database.run('select balance from account')).toEqual([{ balance: 102 }, { balance: 102 }])
      await expectHealthy(database, place)
    })

    test('C2: a transaction whose conflict is found by COMMIT runs again', async ({ cluster, direct, place }) => {
      await cluster.query(ACCOUNTS)
      await using database = await open(subject, direct)
      const meet = meeting(2)
      const [read, done] = [deferred(), deferred()]
      const attempts: number[] = []
      const transact = (id: number, beforeCommit: () => Promise<void>): Promise<void> =>
        database.transaction(
          async (tx, { attempt }) => {
            attempts.push(attempt)
            await tx.run('select sum(balance)::int as total from account')
            await meet()
            await tx.run(`update account set balance = balance - 1 where id = ${id}`)
            await beforeCommit()
          },
          { ...AGAIN, isolationLevel: 'serializable' },
        )
      // Both have written when the first one commits, so the other one can only fail at its COMMIT.
      const first = transact(1, () => read.promise).then(() => done.resolve())
      const second = transact(2, async () => {
        read.resolve()
        await done.promise
      })
      await settles(Promise.all([first, second]), 'both')
      expect(attempts.toSorted()).toEqual([1, 1, 2])
      expect(await database.run('select balance from account order by id')).toEqual([{ balance: 99 }, { balance: 99 }])
      await expectHealthy(database, place)
    })

    test('C2: a transaction rejects with the last error after its last attempt', async ({ direct, place }) => {
      await using database = await open(subject, direct)
      const { attempts, error } = await attemptsOf(
        database,
        async (tx, attempt) => void (await tx.run(CONFLICT(`conflict ${attempt}`))),
        { retry: { retries: 2, minTimeout: 1, maxTimeout: 10 } },
      )
      expect(attempts).toEqual([1, 2, 3])
      expectCause(error, { code: '40001', message: 'conflict 3' })
      await expectHealthy(database, place)
    })
  })

  describe('C: a transaction never runs again', () => {
    test.for(AFTER_COMMIT)(
      'C: a transaction never runs again when it may have been committed: COMMIT $point, $act',
      async ({ point, act, isCommitted }, { cluster, aimed, aimedAt, place }) => {
        await using database = await open(subject, { ...aimedAt, query_timeout: 500, lostCommit: 'report' })
        await database.run('select 1')
        const shot = aimed.aim({ statement: /^commit/i, point }, act)
        const id = `C3 ${act} ${point}`
        const { attempts, error } = await attemptsOf(database, (tx) => tx.insert(id), AGAIN)
        await shot.fired
        expect(attempts).toEqual([1])
        expectLoss(error, { phase: 'commit', commitOutcome: 'unknown' })
        for (const link of aimed.links) link.cut('rst')
        await expectHealthy(database, place)
        if (isCommitted !== undefined) expect(await written(cluster, id)).toEqual(isCommitted ? [id] : [])
      },
    )

    test("C: a transaction whose function throws never runs again, and rejects with the function's own error", async ({
      cluster,
      direct,
      place,
    }) => {
      await using database = await open(subject, direct)
      const refusal = new NotEnoughMoney()
      const { attempts, error } = await attemptsOf(
        database,
        async (tx) => {
          await tx.insert('refused')
          throw refusal
        },
        AGAIN,
      )
      expect(attempts).toEqual([1])
      expect(error).toBe(refusal)
      expect(await written(cluster, 'refused')).toEqual([])
      await expectHealthy(database, place)
    })

    test('C: a transaction never runs again when it violates a constraint, or when a swallowed error has aborted it', async ({
      cluster,
      direct,
      place,
    }) => {
      await cluster.query("insert into entry values ('there') on conflict do nothing")
      await using database = await open(subject, direct)
      const duplicate = await attemptsOf(database, (tx) => tx.insert('there'), AGAIN)
      expect(duplicate.attempts).toEqual([1])
      expectCause(duplicate.error, { code: '23505' })
      const swallowed = await attemptsOf(database, async (tx) => void (await rejection(tx.insert('there'))), AGAIN)
      expect(swallowed.attempts).toEqual([1])
      expectCause(swallowed.error, { name: 'TransactionRolledBackError' })
      await expectHealthy(database, place)
    })
  })
}
