import { describe, expect } from 'vitest'
import { rejection, settles } from '../../faults/support/settling.ts'
import type { Subject } from '../subject.ts'
import { expectLoss } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { expectHealthy, written } from '../support/health.ts'
import { AGAIN, open } from '../support/open.ts'
import { beginIn } from '../support/ways.ts'

const COMMIT = /^commit/i

/** SCENARIOS C3: COMMIT was sent, and its answer is lost. The pool asks the server, so every ORM gets the right result. */
export function describeLostCommit(subject: Subject): void {
  const test = contractTest(subject)
  const again = subject.retries ? AGAIN : {}

  describe('C: a COMMIT whose answer is lost', () => {
    test.for(['fin', 'rst', 'swallow'] as const)(
      'C3: a transaction whose lost COMMIT was executed resolves, and runs once (%s)',
      async (act, { cluster, aimed, aimedAt, place }) => {
        await using database = await open(subject, { ...aimedAt, commitTimeoutMillis: 500 })
        const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, act)
        const id = `C3 committed, ${act}`
        let attempts = 0
        const transaction = database.transaction(async (tx) => {
          attempts++
          await tx.insert(id)
          return id
        }, again)
        expect(await settles(transaction, 'the transaction')).toBe(id)
        const link = await shot.fired
        expect(attempts).toBe(1)
        expect(await written(cluster, id)).toEqual([id])
        link.cut('rst') // After a black hole, the server must still learn that the client is gone.
        await expectHealthy(database, place)
      },
    )

    test('C3: a transaction whose lost COMMIT was not executed runs again, or rejects as rolled back', async ({
      cluster,
      aimed,
      aimedAt,
      place,
    }) => {
      await using database = await open(subject, aimedAt)
      const shot = aimed.aim({ statement: COMMIT, point: 'before-forward' }, 'rst')
      const id = 'C3 not committed'
      let attempts = 0
      const transaction = database.transaction(async (tx) => {
        attempts++
        await tx.insert(id)
      }, again)
      if (subject.retries) await settles(transaction, 'the transaction')
      else expectLoss(await rejection(transaction), { phase: 'commit', commitOutcome: 'aborted' })
      await shot.fired
      expect(attempts).toBe(subject.retries ? 2 : 1)
      expect(await written(cluster, id)).toEqual(subject.retries ? [id] : [])
      await expectHealthy(database, place)
    })

    if (subject.can.includes('begin'))
      test('C3: a controlled transaction whose lost COMMIT was executed resolves', async ({
        cluster,
        aimed,
        aimedAt,
        place,
      }) => {
        await using database = await open(subject, aimedAt)
        const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
        const tx = await beginIn(database)
        await tx.insert('C3 controlled')
        await settles(tx.commit(), 'COMMIT')
        await shot.fired
        expect(await written(cluster, 'C3 controlled')).toEqual(['C3 controlled'])
        await expectHealthy(database, place)
      })
  })
}
