import { randomUUID } from 'node:crypto'
import { describe, expect } from 'vitest'
import type { Subject } from '../../adapters/subject.ts'
import { AGAIN, once, open } from '../../adapters/support/open.ts'
import { AimedProxy, type Cluster } from '../../support/index.ts'
import { type Answer, answerOf, isTrue, timesWritten } from './answer.ts'
import { test } from './commit-test.ts'
import { type Fate, PLACES, type Place, type Strike, strikeAt } from './points.ts'
import { COMMIT_MILLIS, DISASTERS, STRIKES, SURVIVED, together } from './strikes.ts'

interface Outcome {
  readonly answer: Answer
  readonly attempts: number
  readonly times: number
}

/** Runs one transaction whose first COMMIT is struck at this place. */
async function run(subject: Subject, cluster: Cluster, place: Place, strike: Strike, again = false): Promise<Outcome> {
  const id = randomUUID()
  await using proxy = await AimedProxy.start(cluster)
  await using database = await open(subject, { ...proxy.config(cluster.config()), commitTimeoutMillis: COMMIT_MILLIS })
  await database.run('select 1')
  const isWritten = async (): Promise<boolean> => (await timesWritten(cluster, id)) > 0
  const struck = strikeAt(place, { proxy, cluster, isWritten }, strike)
  let attempts = 0
  const transaction = database.transaction(
    async (tx) => {
      attempts++
      if (place.waits && attempts === 1) await tx.run("set local test.waits = 'on'")
      await tx.insert(id)
    },
    again ? AGAIN : once(subject),
  )
  const [answer] = await Promise.all([answerOf(transaction), struck])
  return { answer, attempts, times: await timesWritten(cluster, id) }
}

/** What must become of the first COMMIT. */
function fateOf({ fate, point, swallows }: Place, kind: string): Fate {
  return SURVIVED.includes(kind) && point === 'before-forward' && !swallows ? 'either' : fate
}

/** After a crash, another transaction may have the id, so that a late question has no answer. The server knows the rest. */
function isExcused({ answer, times }: Outcome, kind: string): boolean {
  return kind === 'crash' && times === 1 && answer.told === 'unknown' && /crashed since/.test(answer.reason ?? '')
}

/** Runs once, without a retry: the answer must match what was written. */
function expectTruth(place: Place, kind: string, outcome: Outcome): void {
  const { answer, times } = outcome
  expect({ told: answer.told, times }, String(answer.error)).toSatisfy(() => isTrue(answer, times))
  if (isExcused(outcome, kind)) return
  const fate = fateOf(place, kind)
  expect(answer.told, String(answer.error)).toBe(fate === 'either' ? (times === 1 ? 'written' : 'not written') : fate)
}

/** With retry: it is written, once, and the work has run once more only if it had to. */
function expectSuccess(place: Place, kind: string, outcome: Outcome): void {
  const { answer, times, attempts } = outcome
  const fate = fateOf(place, kind)
  expect(times, String(answer.error)).toBe(1)
  if (!isExcused(outcome, kind)) expect(answer.told, String(answer.error)).toBe('written')
  if (fate !== 'either') expect(attempts).toBe(fate === 'written' ? 1 : 2)
}

function objectKeys<Key extends string>(record: Readonly<Record<Key, unknown>>): Key[] {
  return Object.keys(record) as Key[]
}

/** What these are told of a COMMIT that is struck at every place and in every way is true. */
export function describeMatrix(subjects: readonly Subject[]): void {
  describe.concurrent.each(objectKeys(STRIKES))('COMMIT meets a %s', (kind) => {
    for (const subject of subjects)
      for (const place of PLACES) {
        test(`${place.name}: ${subject.name} tells the truth`, async ({ cluster }) => {
          expectTruth(place, kind, await run(subject, cluster, place, STRIKES[kind](cluster)))
        })
        if (subject.retries)
          test(`${place.name}: ${subject.name} writes once in the end`, async ({ cluster }) => {
            expectSuccess(place, kind, await run(subject, cluster, place, STRIKES[kind](cluster), true))
          })
      }
  })

  describe.each(objectKeys(DISASTERS))('COMMIT meets a %s of the server', (kind) => {
    test.for(subjects)('$name tells the truth, wherever it is', async (subject, { cluster }) => {
      const strike = together(PLACES.length, () => DISASTERS[kind](cluster))
      const outcomes = PLACES.map(async (place) => ({ place, outcome: await run(subject, cluster, place, strike) }))
      for (const { place, outcome } of await Promise.all(outcomes)) expectTruth(place, kind, outcome)
    })

    test.for(subjects.filter(({ retries }) => retries))(
      '$name writes once in the end, wherever it is',
      async (subject, { cluster }) => {
        const strike = together(PLACES.length, () => DISASTERS[kind](cluster))
        const outcomes = PLACES.map(async (place) => ({
          place,
          outcome: await run(subject, cluster, place, strike, true),
        }))
        for (const { place, outcome } of await Promise.all(outcomes)) expectSuccess(place, kind, outcome)
      },
    )
  })
}
