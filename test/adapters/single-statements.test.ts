import 'reflect-metadata'
import { randomUUID } from 'node:crypto'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/aimed-test.ts'
import { settles } from '../faults/support/settling.ts'
import { subject as drizzle } from './subjects/drizzle.ts'
import { subject as stockDrizzle } from './subjects/drizzle-stock.ts'
import { subject as kysely } from './subjects/kysely.ts'
import { subject as stockKysely } from './subjects/kysely-stock.ts'
import { subject as pg } from './subjects/pg.ts'
import { subject as typeorm } from './subjects/typeorm.ts'
import { subject as stockTypeorm } from './subjects/typeorm-stock.ts'

const SUBJECTS = [pg, stockDrizzle, drizzle, stockKysely, kysely, stockTypeorm, typeorm]

describe.each(SUBJECTS)('$name', ({ open }) => {
  test.for([
    ['the answer to the write is lost', /^insert/i, 'on-reply'],
    ['the write is lost on its way', /^insert/i, 'before-forward'],
    ['the answer to COMMIT is lost', /^commit$/i, 'on-reply'],
    ['COMMIT is lost on its way', /^commit$/i, 'before-forward'],
  ] as const)(
    'with transactionalWrites, a single write is written once although %s',
    async ([, statement, point], { cluster, aimed, aimedAt }) => {
      await using db = await open({ ...aimedAt, transactionalWrites: true, prePing: false, closeTimeoutMillis: 500 })
      await db.insert(randomUUID())
      const id = randomUUID()
      const shot = aimed.aim({ statement, point }, 'rst')
      await settles(db.insert(id), 'the write')
      await shot.fired
      expect(await cluster.query('select id from entry where id = $1', [id])).toEqual([{ id }])
    },
  )

  test('a single read whose answer is lost has its result', async ({ aimed, aimedAt }) => {
    await using db = await open({ ...aimedAt, prePing: false, closeTimeoutMillis: 500 })
    const id = randomUUID()
    await db.insert(id)
    const shot = aimed.aim({ statement: /^select/i, point: 'on-reply' }, 'rst')
    expect(await settles(db.ids(), 'the read')).toContain(id)
    await shot.fired
  })
})
