import { once } from 'node:events'
import { isRetryable, type Pool, runTransaction } from '@holdfast/core'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { describe, expect } from 'vitest'
import { holdfast } from '../faults/support/pools.ts'
import { settles, unattended } from '../faults/support/settling.ts'
import { AimedProxy, type NamedAct, type Point } from '../support/index.ts'
import { answerOf, timesWritten } from './support/answer.ts'
import { test as base } from './support/commit-test.ts'

const COMMIT = /^commit$/i

const test = base
  .extend('proxy', async ({ cluster }, { onCleanup }) => {
    const proxy = await AimedProxy.start(cluster)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })
  .extend('config', ({ cluster, proxy, applicationName }) =>
    proxy.config(cluster.config({ application_name: applicationName, commitTimeoutMillis: 300 })),
  )

/** One without a text is known by its name. */
type Statement = string | { readonly name: string; readonly text?: string }

/** Runs statements, one after the other, on one client; the last one's answer counts. */
async function inTurn(pool: Pool, ...statements: readonly Statement[]): Promise<unknown> {
  const client = await pool.connect()
  try {
    let answer: unknown
    for (const statement of statements) answer = await client.query(statement as string)
    return answer
  } finally {
    client.release()
  }
}

describe('the reply of COMMIT is lost behind a text that can be misread', () => {
  test.for<[string, ...string[]]>([
    ['ROLLBACK, comment, TO', 'savepoint s', 'rollback /* but only */ to savepoint s'],
    ['ROLLBACK, line comment, TO', 'savepoint s', 'rollback -- but only\n to s'],
    ['ROLLBACK WORK TO', 'savepoint s', 'rollback work to savepoint s'],
    ['a savepoint released', 'savepoint s', 'release savepoint s'],
    ['a name that says commit', 'savepoint commit', 'rollback to commit'],
    ['a string that ends one', "select '; rollback'"],
    ['several statements', 'select 1; select 2'],
    ['a property of every object', "select 'constructor' as constructor"],
  ])(
    'a transaction with a text that can be misread (%s) is reported as written when the reply of COMMIT is lost',
    async ([name, ...statements], { cluster, proxy, config }) => {
      await using pool = holdfast(config)
      const shot = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
      const insert = `insert into entry values ('${name}')`
      const answer = await answerOf(inTurn(pool, 'begin', insert, ...statements, 'commit'))
      await shot.fired
      expect([answer.told, await timesWritten(cluster, name)], String(answer.error)).toEqual(['written', 1])
    },
  )
})

describe('a transaction goes over into the next', () => {
  test.for<[string, Statement, Statement?]>([
    ['COMMIT AND CHAIN', 'commit and chain'],
    ['nested comments before it', '/* a /* b */ c */ commit and chain'],
    ['by its name alone', { name: 'c', text: 'commit and chain' }, { name: 'c' }],
    ['several statements', 'commit; begin'],
    ['several statements between names that look like quotes', 'select 1 as a$b$; commit; begin; select 1 as a$b$'],
    ['a comment that ends with a carriage return', '-- on\rcommit and chain'],
    ['rolled back', 'rollback and chain'],
  ])(
    'a transaction that follows another one without BEGIN (%s) is not judged by the first',
    async ([name, first, second], { cluster, proxy, config }) => {
      await using pool = holdfast(config)
      const insert = (id: string): string => `insert into entry values ('${id} ${name}')`
      const shot = proxy.aim({ statement: COMMIT, point: 'before-forward' }, 'rst')
      const work = [insert('first'), first, ...(second ? [insert('between'), second] : []), insert('last')]
      const answer = await answerOf(inTurn(pool, 'begin', ...work, 'commit'))
      await shot.fired
      expect(answer.told, String(answer.error)).toBe('not written')
      expect(await timesWritten(cluster, `last ${name}`)).toBe(0)
    },
  )

  test('work that is committed by COMMIT AND CHAIN never runs again, although the second transaction fails', async ({
    cluster,
    proxy,
    config,
  }) => {
    await using pool = holdfast(config)
    const shot = proxy.aim({ statement: COMMIT, point: 'before-forward' }, 'rst')
    const transaction = runTransaction<pg.PoolClient, void>(
      async (work) => {
        const client = await pool.connect()
        try {
          await client.query('begin')
          await work(client)
          await client.query('commit')
        } finally {
          client.release()
        }
      },
      async (client) => {
        await client.query("insert into entry values ('the first half')")
        await client.query('commit and chain')
        await client.query("insert into entry values ('the second half')")
      },
    )
    const { told } = await answerOf(transaction)
    await shot.fired
    expect([
      told,
      await timesWritten(cluster, 'the first half'),
      await timesWritten(cluster, 'the second half'),
    ]).toEqual(['not written', 1, 0])
  })

  test('what one client has written never runs again, although the COMMIT of a second client is lost', async ({
    cluster,
    proxy,
    config,
  }) => {
    await using otherProxy = await AimedProxy.start(cluster)
    await using pool = holdfast(config)
    await using other = holdfast(otherProxy.config(cluster.config()))
    const found = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
    const lost = otherProxy.aim({ statement: COMMIT, point: 'before-forward' }, 'rst')
    const transaction = runTransaction<readonly pg.PoolClient[], void>(
      async (work) => {
        const clients = [await pool.connect(), await other.connect()]
        try {
          for (const client of clients) await client.query('begin')
          await work(clients)
          for (const client of clients) await client.query('commit')
        } finally {
          for (const client of clients) client.release()
        }
      },
      async (clients) => {
        for (const client of clients) await client.query("insert into entry values ('here and there')")
      },
    )
    const { told } = await answerOf(transaction)
    await Promise.all([found.fired, lost.fired])
    expect([told, await timesWritten(cluster, 'here and there')]).toEqual(['not written', 1])
  })

  test('work whose own text ends the transaction never runs again, although COMMIT is never sent', async ({
    cluster,
    proxy,
    config,
  }) => {
    await using pool = holdfast(config)
    const shot = proxy.aim({ statement: /; commit$/, point: 'on-reply' }, 'rst')
    let attempts = 0
    const transaction = pool.transaction((tx) => {
      attempts++
      void unattended(tx.query("insert into entry values ('by itself'); commit"))
    })
    const { told, error } = await answerOf(transaction)
    await shot.fired
    expect([told, attempts, isRetryable(error)]).toEqual(['unknown', 1, false])
    expect(await timesWritten(cluster, 'by itself')).toBe(1)
  })
})

describe('what else a transaction can do', () => {
  test.for<[Point, NamedAct]>([
    ['before-forward', 'rst'],
    ['on-reply', 'rst'],
  ])('a lost PREPARE TRANSACTION (%s) is reported as unknown', async ([point, act], { cluster, proxy, config }) => {
    await cluster.setting('max_prepared_transactions', 5)
    await cluster.restart('fast')
    await using pool = holdfast(config)
    const shot = proxy.aim({ statement: /^prepare/i, point }, act)
    const id = `prepared ${point}`
    const insert = `insert into entry values ('${id}')`
    const { told, error } = await answerOf(inTurn(pool, 'begin', insert, `prepare transaction '${id}'`))
    await shot.fired
    expect([told, isRetryable(error)]).toEqual(['unknown', false])
    const prepared = await cluster.query('select from pg_prepared_xacts where gid = $1', [id])
    expect(prepared).toHaveLength(point === 'on-reply' ? 1 : 0)
    if (prepared.length > 0) await cluster.query(`commit prepared '${id}'`)
  })

  test('a lost COMMIT PREPARED is reported as unknown', async ({ cluster, proxy, config }) => {
    await cluster.setting('max_prepared_transactions', 5)
    await cluster.restart('fast')
    await using pool = holdfast(config)
    const shot = proxy.aim({ statement: /^commit prepared/i, point: 'on-reply' }, 'rst')
    const insert = "insert into entry values ('in two phases')"
    const prepare = ["prepare transaction 'two'", "commit prepared 'two'"]
    const { told, error } = await answerOf(inTurn(pool, 'begin', insert, ...prepare))
    await shot.fired
    expect([told, isRetryable(error)]).toEqual(['unknown', false])
    expect(await timesWritten(cluster, 'in two phases')).toBe(1)
  })

  test.for<[Point, string, number]>([
    ['before-forward', 'not written', 0],
    ['on-reply', 'written', 1],
  ])(
    'a COPY whose COMMIT is lost (%s) is reported as %s',
    async ([point, expected, times], { cluster, proxy, config }) => {
      await using pool = holdfast(config)
      const shot = proxy.aim({ statement: COMMIT, point }, 'rst')
      const id = `copied ${point}`
      const client = await pool.connect()
      await client.query('begin')
      const copy = client.query(copyFrom('copy entry from stdin'))
      copy.end(`${id}\n`)
      await settles(once(copy, 'finish'), 'COPY')
      const { told } = await answerOf(client.query('commit'))
      client.release()
      await shot.fired
      expect([told, await timesWritten(cluster, id)]).toEqual([expected, times])
    },
  )

  test.for([
    ['nothing', 'select 1'],
    ['SET LOCAL', "set local work_mem = '1MB'"],
    ['savepoints', 'savepoint s', 'release s'],
    ['locks', 'lock table entry in share mode', 'select pg_advisory_xact_lock(7)'],
    ['a cursor', 'declare c cursor for select id from entry', 'fetch 1 from c', 'close c'],
  ])(
    'a transaction of %s has nothing to lose with its COMMIT: aborted, and safe to run again',
    async ([, ...statements], { proxy, config }) => {
      await using pool = holdfast(config)
      const shot = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
      const { told, error } = await answerOf(inTurn(pool, 'begin', ...(statements as string[]), 'commit'))
      await shot.fired
      expect([told, isRetryable(error)]).toEqual(['not written', true])
    },
  )

  test('a lost COMMIT of NOTIFY is reported as unknown, since NOTIFY gets no id before', async ({
    cluster,
    proxy,
    config,
  }) => {
    await using pool = holdfast(config)
    await cluster.withAdmin(async (listener) => {
      await listener.query('listen news')
      const heard = once(listener, 'notification')
      const shot = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
      const { told, error } = await answerOf(inTurn(pool, 'begin', "notify news, 'paid'", 'commit'))
      await shot.fired
      await settles(heard, 'the notification')
      expect([told, isRetryable(error)]).toEqual(['unknown', false])
    })
  })

  test('a lost COMMIT of pg_notify is reported as unknown, since pg_notify gets no id before', async ({
    cluster,
    proxy,
    config,
  }) => {
    await using pool = holdfast(config)
    await cluster.withAdmin(async (listener) => {
      await listener.query('listen news')
      const heard = once(listener, 'notification')
      const shot = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
      const { told, error } = await answerOf(inTurn(pool, 'begin', "select pg_notify('news', 'paid')", 'commit'))
      await shot.fired
      await settles(heard, 'the notification')
      expect([told, isRetryable(error)]).toEqual(['unknown', false])
    })
  })

  test.for<[Point, string, number]>([
    ['before-forward', 'not written', 0],
    ['on-reply', 'written', 1],
  ])(
    'a write that calls pg_notify has an id: when COMMIT is lost (%s) it is reported as %s',
    async ([point, expected, times], { cluster, proxy, config }) => {
      await using pool = holdfast(config)
      const shot = proxy.aim({ statement: COMMIT, point }, 'rst')
      const id = `told ${point}`
      const insert = `with it as (insert into entry values ('${id}') returning id) select pg_notify('news', id) from it`
      const { told } = await answerOf(inTurn(pool, 'begin', insert, 'commit'))
      await shot.fired
      expect([told, await timesWritten(cluster, id)]).toEqual([expected, times])
    },
  )

  test('NOTIFY beside a write is reported as the write is', async ({ cluster, proxy, config }) => {
    await using pool = holdfast(config)
    const shot = proxy.aim({ statement: COMMIT, point: 'before-forward' }, 'rst')
    const insert = "insert into entry values ('with news')"
    const { told } = await answerOf(inTurn(pool, 'begin', "notify news, 'paid'", insert, 'commit'))
    await shot.fired
    expect([told, await timesWritten(cluster, 'with news')]).toEqual(['not written', 0])
  })

  test.for([
    ['declared in so many words', 'declare c cursor with hold for select write_late()'],
    ['behind nested comments', '/* a /* b */ */ declare c cursor with hold for select write_late()'],
    ['behind another statement', 'select 1; declare c cursor with hold for select write_late()'],
    ['by a block', "do $$ begin execute 'declare c cursor with hold for select write_late()'; end $$"],
  ])(
    'a cursor that outlives its transaction writes in COMMIT, and is never reported as aborted: %s',
    async ([, declare = ''], { cluster, proxy, config }) => {
      await cluster.query(`create or replace function write_late() returns void language sql volatile security definer
      as $$ insert into public.entry values ('late') $$; truncate entry`)
      await using pool = holdfast(config)
      const shot = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
      const { told } = await answerOf(inTurn(pool, 'begin', declare, 'commit'))
      await shot.fired
      expect(await timesWritten(cluster, 'late')).toBe(1)
      expect(told).toBe('unknown')
    },
  )
})

test.for(['commit', '/* paid */ commit', '/* paid /* in full */ */ commit', 'commit; -- paid'])(
  'a COMMIT that was sent is not given up, although its signal is aborted: %s',
  async (commit, { cluster, proxy, config }) => {
    await using pool = holdfast(config)
    const caller = new AbortController()
    const point = { statement: /commit/, point: 'on-reply' } as const
    const shot = proxy.aim(point, () => caller.abort(new Error('The caller has left')))
    const insert = { text: 'insert into entry values ($1)', values: [commit] }
    const client = await pool.connect()
    await client.query('begin')
    await client.query(insert)
    const { told } = await answerOf(client.query({ text: commit, signal: caller.signal } as pg.QueryConfig))
    client.release()
    await shot.fired
    expect([told, await timesWritten(cluster, commit)]).toEqual(['written', 1])
  },
)

describe('a transaction that ends in another way', () => {
  test('a lost COMMIT of a Client with a query of its own is reported as unknown', async ({
    cluster,
    proxy,
    config,
  }) => {
    class Late extends pg.Client {
      // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client.
      override async query(...call: any[]): Promise<any> {
        await Promise.resolve()
        return (super.query as (...call: unknown[]) => unknown)(...call)
      }
    }
    await using pool = holdfast({ ...config, Client: Late as unknown as typeof pg.Client })
    const shot = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
    const { told } = await answerOf(inTurn(pool, 'begin', "insert into entry values ('own')", 'commit'))
    await shot.fired
    expect([told, await timesWritten(cluster, 'own')]).toEqual(['unknown', 1])
  })

  test('a lost COMMIT of a patched pg.Client that passes on later is never reported as aborted', async ({
    cluster,
    proxy,
    config,
  }) => {
    const { prototype } = pg.Client as unknown as { prototype: { query: (...call: unknown[]) => unknown } }
    const { query } = prototype
    prototype.query = async function (...call) {
      await Promise.resolve()
      return query.apply(this, call)
    }
    try {
      await using pool = holdfast(config)
      const shot = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
      const { told } = await answerOf(inTurn(pool, 'begin', "insert into entry values ('patched')", 'commit'))
      await shot.fired
      expect(await timesWritten(cluster, 'patched')).toBe(1)
      expect(told).not.toBe('not written')
    } finally {
      prototype.query = query
    }
  })

  test.for<[Point, number]>([
    ['before-forward', 0],
    ['on-reply', 1],
  ])('a pipeline (%s): unknown', async ([point, times], { cluster, proxy, config }) => {
    await using pool = holdfast({ ...config, pipeline: true } as never)
    const shot = proxy.aim({ statement: COMMIT, point }, 'rst')
    const client = await pool.connect()
    const id = `piped ${point}`
    void unattended(client.query('begin'))
    void unattended(client.query('insert into entry values ($1)', [id]))
    const { told } = await answerOf(client.query('commit'))
    client.release()
    await shot.fired
    expect([told, await timesWritten(cluster, id)]).toEqual(['unknown', times])
  })

  test('a lost COMMIT of a role that may not see its own session is reported as unknown', async ({
    cluster,
    proxy,
    config,
  }) => {
    await cluster.withAdmin(async (admin) => {
      await admin.query(`create role blind login noinherit password '${cluster.password}'; create role seer`)
      await admin.query('grant seer to blind; grant all on entry to seer; alter role blind set role to seer')
    })
    await using pool = holdfast({ ...config, user: 'blind', connectionTimeoutMillis: 3000 })
    const shot = proxy.aim({ statement: COMMIT, point: 'before-forward' }, 'swallow')
    const { told } = await answerOf(inTurn(pool, 'begin', "insert into entry values ('blind')", 'commit'))
    await shot.fired
    expect([told, await timesWritten(cluster, 'blind')]).toEqual(['unknown', 0])
  })

  test('a lost COMMIT of a role without further rights is resolved: seeing its own session is enough', async ({
    cluster,
    proxy,
    config,
  }) => {
    await cluster.withAdmin(async (admin) => {
      await admin.query(`create role plain login password '${cluster.password}'`)
      await admin.query('grant all on entry to plain')
    })
    await using pool = holdfast({ ...config, user: 'plain' })
    const lost = proxy.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
    const first = await answerOf(inTurn(pool, 'begin', "insert into entry values ('plain')", 'commit'))
    await lost.fired
    const swallowed = proxy.aim({ statement: COMMIT, point: 'before-forward' }, 'swallow')
    const second = await answerOf(inTurn(pool, 'begin', "insert into entry values ('plain again')", 'commit'))
    await swallowed.fired
    expect([first.told, second.told]).toEqual(['written', 'not written'])
    expect([await timesWritten(cluster, 'plain'), await timesWritten(cluster, 'plain again')]).toEqual([1, 0])
  })
})
