import { ConnectionLostError, OptionsError, Pool } from '@holdfast/core'
import { HoldfastDialect, withRetry } from '@holdfast/kysely'
import { Kysely, type LogEvent, sql } from 'kysely'
import { afterEach, describe, expect, vi } from 'vitest'
import { expectHealthy } from '../../faults/support/health.ts'
import { holdfast } from '../../faults/support/pools.ts'
import { rejection, settles } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { LOSSES, test } from '../support/counted-test.ts'
import { busyBackend, kill, written } from '../support/health.ts'

interface Database {
  entry: { id: string }
  counted: { id: string }
}

type Db = Kysely<Database>

const AGAIN = { idempotentSelects: true }

function open(pool: Pool, options: { idempotentSelects?: boolean } = AGAIN): Db {
  return new Kysely({ dialect: new HoldfastDialect({ ...options, pool }) })
}

/** A SELECT of the query builder. The server counts how often it runs. */
function select(db: Db): Promise<{ id: string }[]> {
  return db.selectFrom('counted').select('id').execute()
}

/** A column that takes a minute in the first run, and no time after that. */
const slowOnce = sql<string>`pg_sleep(case nextval('runs') when 1 then 60 else 0 end)`.as('slept')

const COUNTED = /"counted"/

afterEach(() => {
  vi.restoreAllMocks()
})

describe('a SELECT of the query builder', () => {
  test.for(LOSSES)(
    'a SELECT of the query builder is sent again when its connection is lost %s',
    async ([, point, act, times], { cluster, aimed, aimedAt, runs }) => {
      await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
      const db = open(pool)
      const shot = aimed.aim({ statement: COUNTED, point }, act)
      expect(await select(db)).toEqual([{ id: String(times) }])
      await shot.fired
      expect(await runs()).toBe(times)
      await expectHealthy(pool, cluster, aimedAt.application_name)
    },
  )

  test('a built SELECT that retryReads has tried, and the server has refused as a write, is sent again', async ({
    aimed,
    aimedAt,
    runs,
  }) => {
    await using pool = holdfast({ ...aimedAt, max: 1 })
    const shot = aimed.aim({ statement: COUNTED, point: 'on-reply' }, 'rst')
    expect(await settles(select(open(pool)), 'the SELECT')).toEqual([{ id: '2' }])
    await shot.fired
    expect(await runs()).toBe(2)
  })

  test('a built SELECT is sent again when it is lost twice', async ({ cluster, aimed, aimedAt, runs }) => {
    await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
    const shots = [1, 2].map((nth) => aimed.aim({ statement: COUNTED, point: 'on-reply', nth }, 'rst'))
    expect(await select(open(pool))).toEqual([{ id: '3' }])
    await Promise.all(shots.map((shot) => shot.fired))
    expect(await runs()).toBe(3)
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('a SELECT of the query builder is sent again when its session is killed', async ({ cluster, direct, runs }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const sleeping = open(pool).selectNoFrom(slowOnce).execute()
    await kill(cluster, await busyBackend({ cluster, applicationName: direct.application_name }, 'pg_sleep'))
    expect(await settles(sleeping, 'the SELECT')).toEqual([{ slept: '' }])
    expect(await runs()).toBe(2)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test.for<[string, (db: Db) => Promise<unknown>]>([
    ['with its parameters', (db) => db.selectFrom('counted').select('id').where('id', '!=', 'x').execute()],
    [
      'with common table expressions that read',
      (db) =>
        db
          .with('it', (cte) => cte.selectFrom('counted').selectAll())
          .selectFrom('it')
          .selectAll()
          .execute(),
    ],
    ['with locks', (db) => db.selectFrom(['counted', 'entry']).select('counted.id').forUpdate('entry').execute()],
    ['that was compiled before', (db) => db.executeQuery(db.selectFrom('counted').select('id'))],
    ['as the only row', (db) => db.selectFrom('counted').select('id').executeTakeFirstOrThrow()],
    [
      'that has a signal',
      (db) => db.selectFrom('counted').select('id').execute({ signal: new AbortController().signal }),
    ],
  ])('a SELECT of the query builder is sent again %s', async ([, run], { cluster, aimed, aimedAt, runs }) => {
    await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
    await pool.query('insert into entry values ($1) on conflict do nothing', ['locked'])
    const db = open(pool)
    const shot = aimed.aim({ statement: COUNTED, point: 'on-reply' }, 'rst')
    await settles(run(db), 'the SELECT')
    await shot.fired
    expect(await runs()).toBeGreaterThan(1)
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('a built SELECT is sent again on each lease, also after other statements', async ({ aimed, aimedAt, runs }) => {
    await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
    const db = open(pool)
    await db.connection().execute(select)
    await db.transaction().execute(select)
    for (const nth of [1, 3]) aimed.aim({ statement: COUNTED, point: 'on-reply', nth }, 'rst')
    expect([await select(db), await select(db)]).toEqual([[{ id: '4' }], [{ id: '6' }]])
    expect(await runs()).toBe(6)
  })

  test('a SELECT that is sent again is told to a logger as one', async ({ aimed, aimedAt, runs }) => {
    const logged: string[] = []
    const log = ({ level }: LogEvent): void => void logged.push(level)
    await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
    const db = new Kysely<Database>({ dialect: new HoldfastDialect({ ...AGAIN, pool }), log })
    for (const nth of [1, 3]) aimed.aim({ statement: COUNTED, point: 'on-reply', nth }, 'rst')
    await select(db)
    await select(db)
    expect([logged, await runs()]).toEqual([['query', 'query'], 4])
  })

  test('a built SELECT is sent again over the pool that a function returned', async ({ aimed, aimedAt, runs }) => {
    await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
    const ask = vi.fn(async () => pool)
    const db = new Kysely<Database>({ dialect: new HoldfastDialect({ ...AGAIN, pool: ask }) })
    const shot = aimed.aim({ statement: COUNTED, point: 'on-reply' }, 'rst')
    expect(await select(db)).toEqual([{ id: '2' }])
    await shot.fired
    expect([await runs(), ask.mock.calls.length]).toEqual([2, 1])
  })

  test('a SELECT of the query builder rejects with its own error after one run', async ({ direct, runs }) => {
    await using pool = holdfast(direct)
    const failing = open(pool).selectFrom('counted').select(sql<number>`1 / (id::int - id::int)`.as('it')).execute()
    expect(await rejection(failing)).toMatchObject({ code: '22012' })
    expect(await runs()).toBe(1)
  })
})

describe('idempotentSelects does not send again', () => {
  const entry = { id: 'written once' }

  test.for<[string, RegExp, (db: Db) => Promise<unknown>]>([
    ['raw SQL', COUNTED, (db) => sql`select id from "counted"`.execute(db)],
    ['a SELECT in a transaction', COUNTED, (db) => db.transaction().execute(select)],
    ['a SELECT in a controlled transaction', COUNTED, async (db) => select(await db.startTransaction().execute())],
    [
      'a SELECT in withRetry with `retry: false`',
      COUNTED,
      (db) => withRetry(db.transaction(), { retry: false }).execute(select),
    ],
    ['a SELECT on a connection()', COUNTED, (db) => db.connection().execute(select)],
    [
      'a SELECT on a connection() with a signal',
      COUNTED,
      (db) => db.connection().execute(select, { signal: new AbortController().signal }),
    ],
    [
      'a stream',
      COUNTED,
      async (db) => {
        for await (const row of db.selectFrom('counted').select('id').stream()) expect(row).toBeUndefined()
      },
    ],
    [
      'a common table expression of raw SQL',
      COUNTED,
      (db) =>
        db
          .with('it', () => sql<{ id: string }>`(select id from "counted")`)
          .selectFrom('it')
          .selectAll()
          .execute(),
    ],
  ])(
    'idempotentSelects does not send again the statement %s',
    async ([, statement, run], { cluster, aimed, aimedAt, runs }) => {
      await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
      const shot = aimed.aim({ statement, point: 'on-reply' }, 'rst')
      expect(await rejection(run(open(pool)))).toBeInstanceOf(ConnectionLostError)
      await shot.fired
      expect(await runs()).toBe(1)
      await expectHealthy(pool, cluster, aimedAt.application_name)
    },
  )

  test.for<[string, (db: Db) => Promise<unknown>]>([
    ['an INSERT', (db) => db.insertInto('entry').values(entry).execute()],
    [
      'an UPDATE',
      (db) =>
        db
          .updateTable('entry')
          .set({ id: sql`id || '!'` })
          .where('id', 'like', `${entry.id}%`)
          .returning('id')
          .execute(),
    ],
    ['a DELETE', (db) => db.deleteFrom('entry').where('id', 'like', `${entry.id}%`).execute()],
    [
      'a MERGE',
      (db) =>
        db
          .mergeInto('entry')
          .using(sql<Database['entry']>`(select 'merged' as id)`.as('new'), 'new.id', 'entry.id')
          .whenNotMatched()
          .thenInsertValues({ id: 'merged' })
          .execute(),
    ],
    [
      'a SELECT whose common table expression writes',
      (db) =>
        db
          .with('it', (cte) => cte.insertInto('entry').values({ id: 'cte' }).returning('id'))
          .selectFrom('it')
          .selectAll()
          .execute(),
    ],
    [
      'a SELECT with such an expression among others',
      (db) =>
        db
          .with('one', (cte) => cte.selectFrom('entry').selectAll())
          .with('it', (cte) => cte.insertInto('entry').values({ id: 'second cte' }).returning('id'))
          .selectFrom(['one', 'it'])
          .selectAll('it')
          .execute(),
    ],
  ])('idempotentSelects does not send again %s', async ([, run], { cluster, aimed, aimedAt }) => {
    await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
    const shot = aimed.aim({ statement: /"entry"/, point: 'on-reply' }, 'rst')
    // If it were sent again, it would succeed, or fail because the key exists.
    expect(await rejection(run(open(pool)))).toBeInstanceOf(ConnectionLostError)
    await shot.fired
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('idempotentSelects does not repeat an INSERT whose answer was lost', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
    const shot = aimed.aim({ statement: /^insert/, point: 'on-reply' }, 'rst')
    expect(await rejection(open(pool).insertInto('entry').values({ id: 'once' }).execute())).toBeInstanceOf(
      ConnectionLostError,
    )
    await shot.fired
    expect(await written(cluster, 'once')).toEqual(['once'])
  })

  test.for([{ idempotentSelects: false }, {}])(
    'idempotentSelects does not send again a SELECT without `idempotentSelects: true`: %o',
    async (options, { cluster, aimed, aimedAt, runs }) => {
      await using pool = holdfast({ ...aimedAt, max: 1, retryReads: false })
      const shot = aimed.aim({ statement: COUNTED, point: 'on-reply' }, 'rst')
      expect(await rejection(select(open(pool, options)))).toBeInstanceOf(ConnectionLostError)
      await shot.fired
      expect(await runs()).toBe(1)
      await expectHealthy(pool, cluster, aimedAt.application_name)
    },
  )

  test('idempotentSelects does not repeat a SELECT that its signal killed', async ({ cluster, direct, runs }) => {
    // After a caller has given up, Kysely reports failures of its query there.
    vi.spyOn(console, 'error').mockImplementation(() => {})
    await using pool = holdfast({ ...direct, max: 1 })
    const controller = new AbortController()
    const { signal } = controller
    const sleeping = rejection(
      open(pool).selectNoFrom(slowOnce).execute({ signal, inflightQueryAbortStrategy: 'kill session' }),
    )
    await busyBackend({ cluster, applicationName: direct.application_name }, 'pg_sleep')
    const reason = new Error('left')
    controller.abort(reason)
    expect(await sleeping).toBe(reason)
    await until(() => pool.idleCount === pool.totalCount)
    await expectHealthy(pool, cluster, direct.application_name)
    expect(await runs()).toBe(1)
  })
})

describe('idempotentSelects', () => {
  const pool = new Pool()

  function problemsOf(options: object): readonly string[] {
    try {
      new HoldfastDialect(options as never)
    } catch (error) {
      expect(error).toBeInstanceOf(OptionsError)
      return (error as OptionsError).problems
    }
    throw new Error('Accepted')
  }

  test.for([['yes'], [1], [null], [{}]])('idempotentSelects refuses %o, since it must be true or false', ([given]) => {
    const problem = `\`idempotentSelects\` must be true or false, got ${String(given)}.`
    expect(problemsOf({ pool, idempotentSelects: given })).toEqual([problem])
    expect(problemsOf({ max: 1, idempotentSelects: given })).toEqual([problem])
  })

  test.for(['onCreateConnection', 'onReserveConnection'])("idempotentSelects can't be given beside %s", (hook) => {
    const problem = "`idempotentSelects` can't be given beside hooks: `onConnect` of the pool sets up every connection."
    expect(problemsOf({ pool, ...AGAIN, [hook]: async () => {} })).toEqual([problem])
    expect(new HoldfastDialect({ pool, idempotentSelects: false, [hook]: async () => {} })).toBeDefined()
  })

  test('idempotentSelects may be absent', () => {
    expect(new HoldfastDialect({ pool, idempotentSelects: undefined } as never)).toBeDefined()
  })
})
