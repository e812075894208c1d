import type { PoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { expectHealthy } from '../../faults/support/health.ts'
import { rejection, settles } from '../../faults/support/settling.ts'
import { LOSSES, test } from '../support/counted-test.ts'
import { busyBackend, kill, written } from '../support/health.ts'
import { EDITIONS } from './support/editions.ts'

const COUNTED = /"counted"/
const LOST = { cause: { name: 'ConnectionLostError' } }

describe.each(EDITIONS)(
  'idempotentSelects on $edition',
  ({ drizzle, sql, pgTable, text, relational, Pool, edition }) => {
    const entry = pgTable('entry', { id: text().primaryKey() })
    const counted = pgTable('counted', { id: text().primaryKey() })

    function open(options: PoolOptions, how: { idempotentSelects?: boolean } = { idempotentSelects: true }) {
      const client = new Pool({ closeTimeoutMillis: 500, connectionTimeoutMillis: 15_000, max: 1, ...options })
      return drizzle({ client, ...relational({ entry, counted }), ...how })
    }
    type Db = ReturnType<typeof open>
    type Reader = Pick<Db, 'select'>

    /** A SELECT of the query builder. The server counts how often it runs. */
    const select = (db: Reader): Promise<unknown> => db.select().from(counted).execute()

    describe('a SELECT of the query builder', () => {
      test.for(LOSSES)(
        'a SELECT of the query builder is sent again when its connection is lost %s',
        async ([, point, act, times], { cluster, aimed, aimedAt, runs }) => {
          const db = open(aimedAt)
          await using pool = db.$client
          const shot = aimed.aim({ statement: COUNTED, point }, act)
          expect(await select(db)).toEqual([{ id: String(times) }])
          await shot.fired
          expect(await runs()).toBe(times)
          await expectHealthy(pool, cluster, aimedAt.application_name)
        },
      )

      test('a built SELECT is sent again when its session is killed', async ({ cluster, direct, runs }) => {
        const db = open(direct)
        await using pool = db.$client
        const slowOnce = sql<string>`pg_sleep(case nextval('runs') when 1 then 60 else 0 end)`
        const sleeping = db.select({ slept: slowOnce }).from(sql`(values (1)) as one`).execute()
        await kill(cluster, await busyBackend({ cluster, applicationName: direct.application_name }, 'pg_sleep'))
        expect(await settles(sleeping, 'the SELECT')).toEqual([{ slept: '' }])
        expect(await runs()).toBe(2)
        await expectHealthy(pool, cluster, direct.application_name)
      })

      test.for<[string, (db: Db) => Promise<unknown>, unknown]>([
        ['of some columns', (db) => db.select({ it: counted.id }).from(counted).execute(), [{ it: '2' }]],
        ['that is awaited', async (db) => db.selectDistinct().from(counted).limit(1), [{ id: '2' }]],
        ['of a relational query', (db) => db.query.counted.findMany().execute(), [{ id: '2' }]],
        ['of one for the first row', (db) => db.query.counted.findFirst().execute(), { id: '2' }],
        ['that counts', async (db) => db.$count(counted), 1],
        ['that was prepared', (db) => db.select().from(counted).prepare('counted').execute(), [{ id: '2' }]],
        [
          'that was prepared with placeholders',
          (db) =>
            db
              .select()
              .from(counted)
              .where(sql`id <> ${sql.placeholder('id')}`)
              .prepare('not_counted')
              .execute({ id: 'x' }),
          [{ id: '2' }],
        ],
        [
          'of a relational query that was prepared',
          (db) => db.query.counted.findMany().prepare('q').execute(),
          [{ id: '2' }],
        ],
        [
          'with common table expressions that read',
          (db) => {
            const it = db.$with('it').as(db.select().from(counted))
            return db.with(it).select().from(it).execute()
          },
          [{ id: '2' }],
        ],
        [
          'with joins',
          (db) => db.select({ id: counted.id }).from(counted).leftJoin(entry, sql`false`).limit(1).execute(),
          [{ id: '2' }],
        ],
        ['with locks', (db) => db.select().from(counted).for('update').execute(), [{ id: '2' }]],
        [
          'of a set operation',
          (db) => db.select().from(counted).union(db.select().from(entry).where(sql`false`)).execute(),
          [{ id: '2' }],
        ],
      ])(
        'a SELECT of the query builder is sent again %s',
        async ([, run, answer], { cluster, aimed, aimedAt, runs }) => {
          const db = open(aimedAt)
          await using pool = db.$client
          const shot = aimed.aim({ statement: COUNTED, point: 'on-reply' }, 'rst')
          expect(await settles(run(db), 'the SELECT')).toEqual(answer)
          await shot.fired
          expect(await runs()).toBe(2)
          await expectHealthy(pool, cluster, aimedAt.application_name)
        },
      )

      test('a SELECT of the query builder rejects with its own error after one run', async ({ direct, runs }) => {
        const db = open(direct)
        await using _pool = db.$client
        const failing = db.select({ it: sql`1 / (id::int - id::int)` }).from(counted).execute()
        expect(await rejection(failing)).toMatchObject({ cause: { code: '22012' } })
        expect(await runs()).toBe(1)
      })
    })

    describe('does not send again', () => {
      test.for<[string, (db: Db) => Promise<unknown>]>([
        ['raw SQL', async (db) => db.execute(sql`select id from "counted"`)],
        ['raw SQL as text', async (db) => db.execute('select id from "counted"')],
        ['a SELECT in a transaction', (db) => db.transaction(select)],
        ['a relational query in a transaction', (db) => db.transaction((tx) => tx.query.counted.findMany().execute())],
        ['a count in a transaction', (db) => db.transaction(async (tx) => tx.$count(counted))],
        ['a SELECT in a nested transaction', (db) => db.transaction((tx) => tx.transaction(select))],
        ['a SELECT in a transaction of the session', (db) => db._.session.transaction(select as never)],
        [
          'a SELECT whose common table expression writes',
          (db) => {
            const it = db.$with('it').as(
              db
                .insert(entry)
                .values({ id: `cte, ${edition}` })
                .returning(),
            )
            return db
              .with(it)
              .select({ id: it.id, counted: counted.id })
              .from(it)
              .innerJoin(counted, sql`true`)
              .execute()
          },
        ],
        [
          'a SELECT with such an expression among others',
          (db) => {
            const one = db.$with('one').as(db.select().from(counted))
            const it = db.$with('it').as(db.delete(entry).where(sql`id = 'none'`).returning())
            return db.with(one, it).select().from(one).execute()
          },
        ],
        [
          'an INSERT of what was read',
          (db) =>
            db
              .insert(entry)
              .select(db.select({ id: sql<string>`'read ' || id`.as('id') }).from(counted))
              .returning()
              .execute(),
        ],
        [
          'an UPDATE',
          (db) =>
            db.update(entry).set({ id: sql`(select id from "counted")` }).where(sql`id = 'none'`).returning().execute(),
        ],
        [
          'a DELETE',
          (db) => db.delete(entry).where(sql`id = (select 'none' || id from "counted")`).returning().execute(),
        ],
      ])('idempotentSelects does not send again %s', async ([, run], { cluster, aimed, aimedAt }) => {
        const db = open(aimedAt)
        await using pool = db.$client
        const shot = aimed.aim({ statement: COUNTED, point: 'on-reply' }, 'rst')
        // If it were sent again, it would succeed, or fail because the key exists.
        expect(await rejection(run(db))).toMatchObject(LOST)
        await shot.fired
        await expectHealthy(pool, cluster, aimedAt.application_name)
      })

      test('idempotentSelects does not repeat an INSERT whose answer was lost', async ({ cluster, aimed, aimedAt }) => {
        const db = open(aimedAt)
        await using _pool = db.$client
        const id = `once, ${edition}`
        const shot = aimed.aim({ statement: /^insert/, point: 'on-reply' }, 'rst')
        expect(await rejection(db.insert(entry).values({ id }).execute())).toMatchObject(LOST)
        await shot.fired
        expect(await written(cluster, id)).toEqual([id])
      })

      test.for([{ idempotentSelects: false }, {}])(
        'idempotentSelects does not send again a SELECT without `idempotentSelects: true`: %o',
        async (how, { aimed, aimedAt, runs }) => {
          const db = open({ ...aimedAt, retryReads: false }, how)
          await using _pool = db.$client
          const shots = [1, 2, 3].map((nth) => aimed.aim({ statement: COUNTED, point: 'on-reply', nth }, 'rst'))
          expect(await rejection(select(db))).toMatchObject(LOST)
          expect(await rejection(db.query.counted.findMany().execute())).toMatchObject(LOST)
          expect(await rejection((async () => db.$count(counted))())).toMatchObject(LOST)
          await Promise.all(shots.map((shot) => shot.fired))
          expect(await runs()).toBe(3)
        },
      )

      test('idempotentSelects does not repeat a SELECT on a single client', async ({ aimed, aimedAt, runs }) => {
        await using pool = new Pool({ ...aimedAt, max: 2 })
        const client = await pool.connect()
        const shot = aimed.aim({ statement: COUNTED, point: 'on-reply' }, 'rst')
        expect(await rejection(select(drizzle({ client, idempotentSelects: true })))).toMatchObject(LOST)
        await shot.fired
        client.release()
        expect(await runs()).toBe(1)
      })
    })

    test.for([['yes'], [1], [null], [{}]])(
      'idempotentSelects refuses %o, since it must be true or false',
      ([given]) => {
        const problem = `\`idempotentSelects\` must be true or false, got ${String(given)}.`
        const construct = () => drizzle({ client: new Pool(), idempotentSelects: given as never })
        expect(construct).toThrow(expect.objectContaining({ code: 'HOLDFAST_INVALID_OPTION', problems: [problem] }))
      },
    )

    test('idempotentSelects may be absent', () => {
      expect(drizzle({ client: new Pool(), idempotentSelects: undefined })).toBeDefined()
    })
  },
)
