import { describe, expect } from 'vitest'
import { rejection, settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import type { Database, Subject } from '../subject.ts'
import { contractTest } from '../support/contract-test.ts'
import { expectHealthy, written } from '../support/health.ts'
import { open } from '../support/open.ts'

class HasLeft extends Error {}

/** Uses the database after the transaction, in the async context of the transaction. */
async function useDatabase(database: Database, id: string): Promise<void> {
  await database.insert(id)
  await database.run('select 1')
  await database.transaction((tx) => tx.insert(`${id}, in a transaction`), { retry: false })
}

/** A promise that begins in a transaction and outlives it has nothing of the transaction's `signal`. */
export function describeOutlived(subject: Subject): void {
  if (!subject.retries) return
  const test = contractTest(subject)

  describe('C: a promise that begins in a transaction and outlives it', () => {
    test.for(['committed', 'rolled back', 'given up'] as const)(
      'C: a promise that outlives its transaction is not affected by the signal of that transaction, which was %s',
      async (end, { cluster, direct, place }) => {
        const id = `outlived, ${end}`
        await using database = await open(subject, direct)
        const controller = new AbortController()
        const isOver = deferred()
        let poller: Promise<void> | undefined
        const transaction = database.transaction(
          async () => {
            poller = isOver.promise.then(() => useDatabase(database, id))
            if (end === 'rolled back') throw new Error('of the application')
            if (end === 'given up') controller.abort(new HasLeft())
          },
          { retry: false, signal: controller.signal },
        )
        if (end === 'committed') await transaction
        else await rejection(transaction)
        controller.abort(new HasLeft())
        isOver.resolve()
        await settles(poller as Promise<void>, 'the poller')
        expect(await written(cluster, id, `${id}, in a transaction`)).toEqual([id, `${id}, in a transaction`])
        await expectHealthy(database, place)
      },
    )

    test('C: a statement that outlives its transaction finishes, although the signal is aborted after the transaction', async ({
      direct,
      place,
    }) => {
      await using database = await open(subject, direct)
      const controller = new AbortController()
      let audit: Promise<unknown> | undefined
      await database.transaction(
        async (tx) => {
          await tx.run('select 1')
          audit = database.run('select pg_sleep(0.3)')
        },
        { retry: false, signal: controller.signal },
      )
      controller.abort(new HasLeft())
      await settles(audit as Promise<unknown>, 'the audit')
      await expectHealthy(database, place)
    })
  })
}
