import type { Pool } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'
import type { Subject } from './subject.ts'
import { subject as drizzle } from './subjects/drizzle.ts'
import { subject as drizzleStock } from './subjects/drizzle-stock.ts'
import { subject as kysely } from './subjects/kysely.ts'
import { subject as kyselyStock } from './subjects/kysely-stock.ts'
import { subject as typeorm } from './subjects/typeorm.ts'
import { subject as typeormStock } from './subjects/typeorm-stock.ts'
import { expectCause } from './support/causes.ts'
import { open } from './support/open.ts'

const SUBJECTS: readonly Subject[] = [drizzle, drizzleStock, kysely, kyselyStock, typeorm, typeormStock]
/** Longer than `settles` waits. */
const PATIENT = { connectionTimeoutMillis: 600_000, closeTimeoutMillis: 60_000 }
const TIME_IS_UP = { name: 'PoolClosedError', message: 'The pool was drained, and its time was up after 50 ms' }

describe.each(SUBJECTS)('drain() of the pool of $name', (subject) => {
  test("drain() of an ORM's pool refuses every waiter in time during an outage, and leaves closing the ORM nothing to wait for", async ({
    proxy,
    proxied,
  }) => {
    const database = await open(subject, { ...proxied, ...PATIENT, max: 2 })
    await database.run('select 1')
    proxy.cut('rst')
    proxy.refuse()
    await until(() => database.pool.totalCount === 0)
    const waiting = [rejection(database.run('select 1')), rejection(database.transaction((tx) => tx.run('select 1')))]
    await until(() => database.pool.waitingCount === 2)
    expect(await settles((database.pool as Pool).drain(50), 'drain()')).toBe(false)
    for (const error of await Promise.all(waiting)) expectCause(error, TIME_IS_UP)
    await settles(database[Symbol.asyncDispose](), 'closing the ORM')
  })

  test("drain() serves an ORM's transaction to its end, and leaves closing nothing to wait for", async ({ direct }) => {
    const database = await open(subject, { ...direct, ...PATIENT, max: 2 })
    let drained: Promise<boolean> | undefined
    const rows = await database.transaction(async (tx) => {
      await tx.run('select 1')
      drained = (database.pool as Pool).drain(600_000)
      const [beside] = await database.run('select 1 as n')
      const [inside] = await tx.run('select 2 as n')
      return [beside, inside]
    })
    expect(rows).toEqual([{ n: 1 }, { n: 2 }])
    expect(await settles(drained as Promise<boolean>, 'drain()')).toBe(true)
    await settles(database[Symbol.asyncDispose](), 'closing the ORM')
  })
})
