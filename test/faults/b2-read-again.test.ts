import { randomUUID } from 'node:crypto'
import { ConnectionLostError, type Pool } from '@holdfast/core'
import { Query } from 'pg'
import Cursor from 'pg-cursor'
import { describe, expect } from 'vitest'
import { type Cluster, freePort } from '../support/index.ts'
import { message, ScriptedServer } from '../support/scripted-server.ts'
import { test } from './support/aimed-test.ts'
import { atEachByte, test as byteTest } from './support/at-each-byte.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

/** A function that writes, one that is declared wrongly, one that only reads, and a view over a function that writes. */
async function makeFunctions(cluster: Cluster): Promise<void> {
  await cluster.withAdmin((admin) =>
    admin.query(`create or replace function write_entry(id text) returns text language sql security definer
        as 'insert into public.entry values ($1) returning id';
      create or replace function write_secretly(id text) returns text language sql stable
        as 'select public.write_entry($1)';
      create or replace function twice(number int) returns int language sql immutable as 'select $1 * 2';
      create or replace view written as select public.write_entry(gen_random_uuid()::text) as id;
      grant all on written to app`),
  )
}

function ids(cluster: Cluster, prefix: string): Promise<unknown[]> {
  return cluster.query('select id from entry where id like $1', [`${prefix}%`])
}

const open = (options: object): Pool => holdfast({ prePing: false, max: 2, ...options })

describe.each(WAYS)('a plain read whose answer is lost, by $way', ({ run }) => {
  test('stock pg.Pool: fails', async ({ aimed, aimedAt }) => {
    await using pool = new StockPool(aimedAt)
    const shot = aimed.aim({ statement: /^select 'stock'/, point: 'on-reply' }, 'rst')
    await rejection(run(pool, "select 'stock'"))
    await shot.fired
  })

  test.for([
    ["select 'read' as it, $1::int as number", [1], { it: 'read', number: 1 }],
    ['table public.entry', [], undefined],
    ["with it as (select 'read' as it) select it from it", [], { it: 'read' }],
    ["select public.twice(21) as it /* 'read' */", [], { it: 42 }],
    ['select length(gen_random_uuid()::text) as it', [], { it: 36 }],
  ] as const)('Holdfast: "%s" runs again', async ([text, values, row], { cluster, aimed, aimedAt }) => {
    await makeFunctions(cluster)
    await using pool = open(aimedAt)
    const retried: unknown[] = []
    const unsubscribe = await import('node:diagnostics_channel')
    const note = (message: unknown): void => void retried.push((message as { reason: string }).reason)
    unsubscribe.subscribe('holdfast:statement-retried', note)
    const shot = aimed.aim({ statement: new RegExp(text.slice(0, 12).replace(/[(]/, '.')), point: 'on-reply' }, 'rst')
    const result = await settles(run(pool, text, [...values]), text)
    await shot.fired
    unsubscribe.unsubscribe('holdfast:statement-retried', note)
    if (row) expect(result.rows).toEqual([row])
    expect(retried).toContain('plain-read')
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test.for([
    ['a notification', "select pg_notify('news', 'again')"],
    ['a sequence', "select nextval('again')"],
    ['an advisory lock', 'select pg_advisory_lock(1)'],
    ['a cancelled backend', 'select pg_cancel_backend(0)'],
    ['a function that writes', "select public.write_entry('again-1')"],
    ['a function with a common name', "select write_entry('again-2')"],
    ['a lock on rows', 'select id from entry for update'],
    ['a write', "insert into entry values ('again-3')"],
    ['two statements', 'select 1; select 2'],
  ] as const)('Holdfast: %s does not run again', async ([, text], { cluster, aimed, aimedAt }) => {
    await makeFunctions(cluster)
    await cluster.withAdmin((admin) =>
      admin.query('create sequence if not exists again; grant all on sequence again to app; delete from entry'),
    )
    await using pool = open(aimedAt)
    let requests = 0
    const shot = aimed.aim(
      { statement: new RegExp(`^${text.slice(0, 18).replace(/[(]/, '.')}`), point: 'on-reply' },
      () => {
        requests++
        return 'rst'
      },
    )
    const error = await rejection(run(pool, text))
    await shot.fired
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(requests).toBe(1)
    expect((await ids(cluster, 'again-')).length).toBeLessThan(2)
  })

  test('Holdfast: a function that writes although it is declared stable is never written twice, and the loss is told', async ({
    cluster,
    aimed,
    aimedAt,
  }) => {
    await makeFunctions(cluster)
    await cluster.withAdmin((admin) => admin.query('delete from entry'))
    await using pool = open(aimedAt)
    const shot = aimed.aim({ statement: /write_secretly/, point: 'on-reply' }, 'rst')
    const error = await rejection(run(pool, 'select public.write_secretly($1)', [`secret-${randomUUID()}`]))
    await shot.fired
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect((await ids(cluster, 'secret-')).length).toBeLessThan(2)
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('Holdfast: a view over a writer is refused by the server, and the loss is told', async ({
    cluster,
    aimed,
    aimedAt,
  }) => {
    await makeFunctions(cluster)
    await cluster.withAdmin((admin) => admin.query('delete from entry'))
    await using pool = open(aimedAt)
    const shot = aimed.aim({ statement: /^select id from written/, point: 'on-reply' }, 'rst')
    const error = await rejection(run(pool, 'select id from written'))
    await shot.fired
    expect(error).toMatchObject({ name: 'ConnectionLostError', code: 'ECONNRESET' })
    expect((await ids(cluster, '')).length).toBeLessThan(2)
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('Holdfast: any other SQL error of the second run is told', async ({ cluster, aimed, aimedAt }) => {
    await cluster.withAdmin((admin) =>
      admin.query('create table divisor as select 1 as by; grant all on divisor to app').catch(() => {}),
    )
    await cluster.withAdmin((admin) => admin.query('update divisor set by = 1'))
    await using pool = open(aimedAt)
    const shot = aimed.aim({ statement: /^select 1 \/ by/, point: 'on-reply' }, async () => {
      await cluster.withAdmin((admin) => admin.query('update divisor set by = 0'))
      return 'rst'
    })
    const error = await rejection(run(pool, 'select 1 / by from divisor'))
    await shot.fired
    expect(error).toMatchObject({ code: '22012' })
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('Holdfast: a temporary table of the lost session: the loss is told', async ({ cluster, aimed, aimedAt }) => {
    await using pool = open({ ...aimedAt, max: 1 })
    await pool.query('create temporary table mine (id int)')
    const shot = aimed.aim({ statement: /^select id from mine/, point: 'on-reply' }, 'rst')
    const error = await rejection(run(pool, 'select id from mine'))
    await shot.fired
    expect(error).toBeInstanceOf(ConnectionLostError)
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('Holdfast: lost three times, it runs a fourth time', async ({ cluster, aimed, aimedAt }) => {
    await using pool = open(aimedAt)
    const shots = [1, 2, 3].map((nth) => aimed.aim({ statement: /^select 'lost'/, nth, point: 'on-reply' }, 'rst'))
    expect((await settles(run(pool, "select 'lost' as it"), 'the read')).rows).toEqual([{ it: 'lost' }])
    await Promise.all(shots.map(({ fired }) => fired))
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('Holdfast: lost when a function is asked about, it runs again', async ({ cluster, aimed, aimedAt }) => {
    await makeFunctions(cluster)
    await using pool = open(aimedAt)
    const shots = [/twice\(1\)/, /pg_proc/].map((statement) => aimed.aim({ statement, point: 'on-reply' }, 'rst'))
    expect((await settles(run(pool, 'select public.twice(1) as it'), 'the read')).rows).toEqual([{ it: 2 }])
    await Promise.all(shots.map(({ fired }) => fired))
  })

  test('Holdfast: lost each time, it tells the last loss, which is caused by the one before', async ({
    aimed,
    aimedAt,
  }) => {
    await using pool = open(aimedAt)
    const shots = [1, 2, 3, 4].map((nth) => aimed.aim({ statement: /^select 'lost'/, nth, point: 'on-reply' }, 'rst'))
    const error = await rejection(run(pool, "select 'lost'"))
    expect(error.message).toMatch(/not run again: it has run 4 times$/)
    await Promise.all(shots.map(({ fired }) => fired))
    expect(error).toBeInstanceOf(ConnectionLostError)
    // The first run may have written, whatever the text looks like.
    expect(error).toMatchObject({ commitOutcome: 'unknown', statementOutcome: 'unknown' })
    expect(error.cause).toBeInstanceOf(ConnectionLostError)
    expect(error.cause).not.toBe(error)
  })

  test('Holdfast: a second run that takes too long is the last one', async ({ aimed, aimedAt }) => {
    await using pool = open({ ...aimedAt, query_timeout: 500 })
    const shot = aimed.aim({ statement: /^select 'slow'/, point: 'on-reply' }, 'rst')
    const stuck = aimed.aim({ statement: /^select 'slow'/, nth: 2, point: 'on-reply' }, 'swallow-replies')
    const error = await rejection(run(pool, "select 'slow'"))
    await Promise.all([shot.fired, stuck.fired])
    expect(error).toMatchObject({ statementOutcome: 'unknown', cause: { name: 'ConnectionLostError' } })
    expect(error.message).toMatch(/timeout/)
  })

  test('Holdfast: if there is no server for the second run, the loss is told', async ({ aimed, aimedAt }) => {
    await using pool = open({ ...aimedAt, connectionTimeoutMillis: 1000 })
    const port = await freePort()
    const shot = aimed.aim({ statement: /^select 'no server'/, point: 'on-reply' }, () => {
      aimed.retarget({ host: '127.0.0.1', port })
      return 'rst'
    })
    const error = await rejection(run(pool, "select 'no server'"))
    await shot.fired
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ statementOutcome: 'unknown', commitOutcome: 'unknown' })
    expect(error.message).toMatch(/not run again: timeout exceeded when trying to connect/)
  })

  test('Holdfast: with retryReads: false the loss is told', async ({ aimed, aimedAt }) => {
    await using pool = open({ ...aimedAt, retryReads: false })
    const shot = aimed.aim({ statement: /^select 'once'/, point: 'on-reply' }, 'rst')
    expect(await rejection(run(pool, "select 'once'"))).toBeInstanceOf(ConnectionLostError)
    await shot.fired
  })
})

test('a client whose read the server refuses to run again is lost, and the other connection is free', async ({
  cluster,
  aimed,
  aimedAt,
}) => {
  await makeFunctions(cluster)
  await using pool = open({ ...aimedAt, max: 1 })
  const client = await pool.connect()
  const shot = aimed.aim({ statement: /^select id from written/, point: 'on-reply' }, 'rst')
  const loss = await rejection(client.query('select id from written'))
  await shot.fired
  expect(loss).toMatchObject({ name: 'ConnectionLostError', code: 'ECONNRESET' })
  expect(await rejection(client.query('select 1'))).toMatchObject({ name: 'ConnectionLostError', sent: false })
  expect((await settles(pool.query('select 1 as one'), 'another statement')).rows).toEqual([{ one: 1 }])
  client.release()
  await expectHealthy(pool, cluster, aimedAt.application_name)
})

test('what a client is asked while its read runs again is answered by the same connection', async ({
  cluster,
  aimed,
  aimedAt,
}) => {
  await using pool = open({ ...aimedAt, max: 1 })
  const client = await pool.connect()
  const PID = 'select pg_backend_pid() as pid'
  let meanwhile: Promise<{ rows: unknown[] }> | undefined
  const lost = aimed.aim({ statement: /as first$/, point: 'on-reply' }, 'rst')
  const again = aimed.aim({ statement: /as first$/, nth: 2, point: 'before-forward' }, () => {
    meanwhile = client.query(PID)
  })
  const first = await settles(client.query('select 1 as first'), 'the read')
  await Promise.all([lost.fired, again.fired])
  expect(first.rows).toEqual([{ first: 1 }])
  expect((await settles(meanwhile as Promise<{ rows: unknown[] }>, 'the other')).rows).toEqual(
    (await client.query(PID)).rows,
  )
  client.release()
  await expectHealthy(pool, cluster, aimedAt.application_name)
})

test.for([
  ['a config', (pool: Pool) => pool.query({ text: "select 'left alone'", retryRead: false })],
  ['a third argument', (pool: Pool) => pool.query("select 'left alone'", [], { retryRead: false })],
  [
    'a query with `row` listeners',
    (pool: Pool) => {
      const query = new Query("select 'left alone'")
      query.on('row', () => {}).on('error', () => {})
      return pool.query(query as never)
    },
  ],
  [
    'a statement behind another one of the same client',
    async (pool: Pool) => {
      await using client = await pool.connect()
      await client.query('select 1')
      return await client.query("select 'left alone'")
    },
  ],
  [
    'a statement in a transaction',
    async (pool: Pool) => {
      await using client = await pool.connect()
      await client.query('begin')
      return await client.query("select 'left alone'")
    },
  ],
  [
    'a cursor',
    async (pool: Pool) => {
      await using client = await pool.connect()
      return await client.query(new Cursor("select 'left alone'")).read(1)
    },
  ],
] as const)('%s is not read again', async ([, run], { aimed, aimedAt }) => {
  await using pool = open(aimedAt)
  const shot = aimed.aim({ statement: /^select 'left alone'/, point: 'on-reply' }, 'rst')
  expect(await rejection(run(pool) as Promise<unknown>)).toBeInstanceOf(ConnectionLostError)
  await shot.fired
})

test('asks once for a function, however often it is read again', async ({ cluster, aimed, aimedAt }) => {
  await makeFunctions(cluster)
  await using pool = open(aimedAt)
  let asked = 0
  const count = (): void => {
    asked++
  }
  void aimed.aim({ statement: /pg_proc/, point: 'before-forward' }, count).fired.catch(() => {})
  void aimed.aim({ statement: /pg_proc/, nth: 2, point: 'before-forward' }, count).fired.catch(() => {})
  for (let time = 0; time < 3; time++) {
    const shot = aimed.aim({ statement: /twice\(4\)/, point: 'on-reply' }, 'rst')
    expect((await pool.query('select public.twice(4) as it')).rows).toEqual([{ it: 8 }])
    await shot.fired
  }
  expect(asked).toBe(1)
})

test.for(['terminate', 'rst'] as const)(
  'a read is given up with its signal, also while it waits to run again: %s',
  async (act, { cluster, aimed, aimedAt }) => {
    await using pool = open({ ...aimedAt, max: 1 })
    const giveUp = new AbortController()
    const reason = new Error('the user has left')
    const shot = aimed.aim({ statement: /^select 'given up'/, point: 'on-reply' }, () => {
      giveUp.abort(reason)
      return act === 'rst' ? 'rst' : undefined
    })
    expect(await rejection(pool.query({ text: "select 'given up'", signal: giveUp.signal } as never))).toBe(reason)
    await shot.fired
    await expectHealthy(pool, cluster, aimedAt.application_name)
  },
)

byteTest(
  'a read that is lost at any byte of the exchange has one result',
  { timeout: 120_000 },
  async ({ cluster, direct }) => {
    const read = async (pool: Pool, id: string): Promise<void> => {
      expect((await pool.query('select $1::text as id', [id])).rows).toEqual([{ id }])
    }
    expect((await atEachByte(cluster, direct, read, 1)).length).toBeGreaterThan(100)
    const asText = async (pool: Pool, id: string): Promise<void> => {
      await using client = await pool.connect()
      expect((await client.query(`select '${id}' as id`)).rows).toEqual([{ id }])
    }
    expect((await atEachByte(cluster, direct, asText, 3)).length).toBeGreaterThan(50)
  },
)

test('a read that may have run, and whose second run the server refuses for what it lacks, tells the loss', async () => {
  await using server = await ScriptedServer.start(async (session) => {
    await session.next()
    session.send(message.loggedIn(session.number))
    for (let asked = await session.next(); asked; asked = await session.next()) {
      if (asked.letter === 'Q' && asked.body.includes('from entry')) return session.close()
      if (asked.letter === 'Q' || asked.letter === 'S')
        session.send(message.error('ERROR', '53200', 'out of memory'), message.ready())
    }
  })
  await using pool = holdfast({ ...server.config(), prePing: false, watch: false })
  const error = await rejection(pool.query('select n from entry'))
  expect(error).toBeInstanceOf(ConnectionLostError)
  expect(error).toMatchObject({ phase: 'query', commitOutcome: 'unknown' })
  expect(error.message).toMatch(/; not run again: out of memory$/)
})
