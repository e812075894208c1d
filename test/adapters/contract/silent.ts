import { randomUUID } from 'node:crypto'
import { describe, expect } from 'vitest'
import { settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import type { Database, Subject } from '../subject.ts'
import { expectLoss } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { expectHealthy, type Place, written } from '../support/health.ts'
import { AGAIN, open, warmUp } from '../support/open.ts'

/** As many as there are operations at a time, so that each has a connection that is about to die. */
const MAX = 4

/** What applies to a pool of which only `max` is set, so that nothing but the pool itself can notice the silence. */
const DEFAULTS = { max: MAX, prePing: { idleMillis: 500, timeoutMillis: 1000 } }

/** Resolves with the error, or with undefined if there is none. */
async function errorOf(work: Promise<unknown>, what: string): Promise<unknown> {
  try {
    await settles(work, what)
    return undefined
  } catch (error) {
    return error
  }
}

/** Expects that every slot can be used at the same time. */
async function expectAllSlots(database: Database, place: Place): Promise<void> {
  expect(new Set(await warmUp(database, MAX)).size).toBe(MAX)
  await expectHealthy(database, place)
}

/** SCENARIOS A2 and B5: existing connections die without a sign, and no option limits how long a statement takes. */
export function describeSilent(subject: Subject): void {
  const test = contractTest(subject)
  const again = subject.retries ? AGAIN : {}

  // Concurrent, since all of it is waiting.
  describe.concurrent('B: a network that goes silent, with the defaults', () => {
    test.for([
      { what: 'everything', direction: 'both' },
      { what: 'every reply', direction: 'to-client' },
    ] as const)(
      'A2, B5: a transaction and reads are served, and no write hangs, when the connections, idle for a moment, swallow $what',
      async ({ direction }, { cluster, proxy, proxied, place }) => {
        await using database = await open(subject, { ...proxied, ...DEFAULTS })
        const [single, inTransaction] = [randomUUID(), randomUUID()]
        await warmUp(database, MAX)
        proxy.swallow({ connections: 'existing', direction })
        const reads = Array.from({ length: MAX }, () => errorOf(database.run('select 1 as one'), 'a read'))
        const [ofReads, ofWrite] = await Promise.all([
          Promise.all(reads),
          errorOf(database.insert(single), 'the write'),
          settles(
            database.transaction(async (tx) => tx.insert(inTransaction), again),
            'the transaction',
          ),
        ])
        expect(ofReads.filter((error) => error !== undefined)).toEqual([])
        // What was answered may be written, so it must not run again. Nor must what has never arrived, if its session ended
        // before it could be seen once more.
        if (ofWrite !== undefined) expectLoss(ofWrite, { phase: 'query', commitOutcome: 'unknown' })
        await proxy.heal()
        await expectAllSlots(database, place)
        const found = await written(cluster, single, inTransaction)
        expect(found).toContain(inTransaction)
        if (ofWrite === undefined) expect(found).toContain(single)
      },
    )

    test('B5: a transaction whose connection swallows everything is rolled back, and runs again if it retries', async ({
      cluster,
      proxy,
      proxied,
      place,
    }) => {
      await using database = await open(subject, { ...proxied, ...DEFAULTS })
      const id = randomUUID()
      await warmUp(database, MAX)
      const [isOpen, isSilent] = [deferred<void>(), deferred<void>()]
      let attempts = 0
      const transaction = database.transaction(async (tx) => {
        attempts++
        await tx.run('select 1')
        isOpen.resolve()
        await isSilent.promise
        await tx.insert(id)
      }, again)
      await settles(isOpen.promise, 'the first statement')
      proxy.swallow({ connections: 'existing' })
      isSilent.resolve()
      const error = await errorOf(transaction, 'the transaction')
      if (subject.retries) expect(error).toBeUndefined()
      else expectLoss(error, { phase: 'transaction', commitOutcome: 'aborted' })
      expect(attempts).toBe(subject.retries ? 2 : 1)
      await proxy.heal()
      await expectAllSlots(database, place)
      expect(await written(cluster, id)).toEqual(subject.retries ? [id] : [])
    })

    test('C3: a transaction whose COMMIT was executed resolves when the reply is swallowed', async ({
      cluster,
      aimed,
      aimedAt,
      place,
    }) => {
      await using database = await open(subject, { ...aimedAt, ...DEFAULTS })
      const id = randomUUID()
      const shot = aimed.aim({ statement: /^commit/i, point: 'on-reply' }, 'swallow-replies')
      let attempts = 0
      const transaction = database.transaction(async (tx) => {
        attempts++
        await tx.insert(id)
      }, again)
      await settles(transaction, 'the transaction')
      const link = await shot.fired
      expect(attempts).toBe(1)
      expect(await written(cluster, id)).toEqual([id])
      link.cut('rst') // The server must still learn that the client is gone.
      await expectHealthy(database, place)
    })
  })
}
