import { randomUUID } from 'node:crypto'
import { describe, expect } from 'vitest'
import { AimedProxy, type Cluster } from '../support/index.ts'
import { type Answer, answerOf, isTrue, timesWritten } from './support/answer.ts'
import { test } from './support/commit-test.ts'
import { retried, STOCK_SUBJECTS, type StockSubject } from './support/stock.ts'

/** Inserts an entry whose COMMIT is carried out and whose reply is lost. */
async function loseReply(
  subject: StockSubject,
  cluster: Cluster,
  again: (work: () => Promise<void>) => Promise<void>,
): Promise<{ answer: Answer; times: number }> {
  const id = randomUUID()
  await using proxy = await AimedProxy.start(cluster)
  const database = await subject.open({ ...proxy.config(cluster.config()), max: 1 })
  try {
    const shot = proxy.aim({ statement: /^commit/i, point: 'on-reply' }, 'rst')
    const answer = await answerOf(again(() => database.insert(id)))
    await shot.fired
    return { answer, times: await timesWritten(cluster, id) }
  } finally {
    await database.close()
  }
}

describe.each(STOCK_SUBJECTS)('$name on the pool of pg, when the reply of COMMIT is lost', (subject) => {
  test(`${subject.name} on the pool of pg says that a transaction failed whose COMMIT was executed`, async ({
    cluster,
  }) => {
    const { answer, times } = await loseReply(subject, cluster, (work) => work())
    expect([answer.told, times, isTrue(answer, times)]).toEqual(['failed', 1, false])
  })

  test(`${subject.name} on the pool of pg writes twice when a transaction is run again by hand`, async ({
    cluster,
  }) => {
    const { answer, times } = await loseReply(subject, cluster, retried)
    expect([answer.told, times, isTrue(answer, times)]).toEqual(['written', 2, false])
  })
})
