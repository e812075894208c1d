import { type ResetFunction, type ResetInfo, type ResetPolicy, withPoolOptions } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, WAYS, type Way } from './support/pools.ts'
import { isPending, rejection, settles } from './support/settling.ts'

interface Trace {
  readonly what: string
  /** Leaves it in the session. */
  readonly leave: string
  /** Whether the session has it. */
  readonly isThere: string
  /** A superuser alone can leave it. */
  readonly bySuperuser?: true
}

const CLEARED: readonly Trace[] = [
  {
    what: 'SET',
    leave: "set lock_timeout = '1h'",
    isThere: "select current_setting('lock_timeout') = '1h' as it",
  },
  {
    what: 'set_config',
    leave: "select set_config('app.tenant', 'theirs', false)",
    isThere: "select current_setting('app.tenant', true) = 'theirs' as it",
  },
  { what: 'SET ROLE', leave: 'set role pg_monitor', isThere: "select current_user = 'pg_monitor' as it" },
  {
    what: 'SET SESSION AUTHORIZATION',
    leave: 'set session authorization app',
    isThere: "select session_user = 'app' as it",
    bySuperuser: true,
  },
  {
    what: 'a temporary table',
    leave: 'create temporary table leftover (n int)',
    isThere: "select to_regclass('pg_temp.leftover') is not null as it",
  },
  {
    what: 'an advisory lock',
    leave: 'select pg_advisory_lock(4711), pg_advisory_lock(4711)',
    isThere: "select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as it",
  },
  { what: 'LISTEN', leave: 'listen news', isThere: 'select exists (select from pg_listening_channels()) as it' },
  {
    what: 'a cursor WITH HOLD',
    leave: 'declare held cursor with hold for select 1',
    isThere: "select exists (select from pg_cursors where name = 'held') as it",
  },
  {
    what: 'the state of a sequence',
    leave: "select nextval('entry_number')",
    isThere: "select currval('entry_number') > 0 as it",
  },
]

const PREPARED: Trace = {
  what: 'PREPARE',
  leave: 'prepare leftover as select 1',
  isThere: "select exists (select from pg_prepared_statements where name = 'leftover') as it",
}

const POLICIES = ['session', 'discard'] as const

async function isThere(pool: pg.Pool, { isThere: text }: Trace): Promise<boolean> {
  try {
    const { rows } = await pool.query<{ it: boolean | null }>(text)
    return rows[0]?.it === true
  } catch (error) {
    // object_not_in_prerequisite_state: that is how a session says that it knows nothing of a sequence.
    if ((error as { code?: string }).code === '55000') return false
    throw error
  }
}

async function createSequence(cluster: Cluster): Promise<void> {
  await cluster.query('create sequence if not exists entry_number; grant all on sequence entry_number to app')
}

function asUser(direct: object, { bySuperuser }: Trace): object {
  return { ...direct, ...(bySuperuser ? { user: 'postgres' } : {}) }
}

describe.each(WAYS)('returned with session state, through $way', ({ run }: Way) => {
  test.for([...CLEARED, PREPARED])(
    'stock pg.Pool: the next caller inherits $what',
    async (trace, { cluster, direct }) => {
      await createSequence(cluster)
      await using pool = new StockPool({ ...asUser(direct, trace), max: 1 })
      expect(await isThere(pool, trace)).toBe(false)
      await run(pool, trace.leave)
      expect(await isThere(pool, trace)).toBe(true)
    },
  )

  test.for([...CLEARED, PREPARED])("Holdfast: 'rollback' doesn't clear $what", async (trace, { cluster, direct }) => {
    await createSequence(cluster)
    await using pool = holdfast({ ...asUser(direct, trace), max: 1 })
    await run(pool, trace.leave)
    expect(await isThere(pool, trace)).toBe(true)
  })

  for (const policy of POLICIES) {
    test.for(CLEARED)(`Holdfast: '${policy}' clears $what`, async (trace, { cluster, direct }) => {
      await createSequence(cluster)
      await using pool = holdfast({ ...asUser(direct, trace), max: 1, resetOnReturn: policy })
      const pid = await backendPid(pool)
      const left = run(pool, trace.leave)
      // Waits before the first connection is released.
      const inherited = isThere(pool, trace)
      await settles(left, 'what leaves it')
      expect(await settles(inherited, 'the next statement')).toBe(false)
      expect(await backendPid(pool)).toBe(pid)
      await expectHealthy(pool, cluster, direct.application_name)
    })

    test.for(['begin', 'begin; select 1 / 0'])(
      `Holdfast: '${policy}' clears what was set before a transaction that was left open: %s`,
      async (open, { cluster, direct }) => {
        await using pool = holdfast({ ...direct, max: 1, resetOnReturn: policy })
        const pid = await backendPid(pool)
        const client = await pool.connect()
        await client.query("set lock_timeout = '1h'; create temporary table leftover (n int)")
        await client.query(open).catch(() => {})
        client.release()
        const { rows } = await pool.query(
          "select current_setting('lock_timeout') as timeout, to_regclass('pg_temp.leftover') as table",
        )
        expect(rows).toEqual([{ timeout: '0', table: null }])
        expect(await backendPid(pool)).toBe(pid)
        await expectHealthy(pool, cluster, direct.application_name)
      },
    )
  }
})

describe('prepared statements', () => {
  const named = { name: 'by-number', text: 'select $1::int as it' }
  const RUNS = "select (generic_plans + custom_plans)::int as runs from pg_prepared_statements where name = 'by-number'"

  test('stock pg.Pool: after DISCARD ALL, the driver believes in a statement that is gone', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    await pool.query({ ...named, values: [1] })
    await pool.query('discard all')
    // invalid_sql_statement_name
    expect(await rejection(pool.query({ ...named, values: [2] }))).toMatchObject({ code: '26000' })
  })

  test("Holdfast: 'session' keeps prepared statements, at the server and the driver", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn: 'session' })
    await pool.query(PREPARED.leave)
    for (const number of [1, 2, 3]) {
      expect((await pool.query({ ...named, values: [number] })).rows).toEqual([{ it: number }])
    }
    expect((await pool.query(RUNS)).rows).toEqual([{ runs: 3 }])
    expect(await isThere(pool, PREPARED)).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test("Holdfast: 'discard' drops prepared statements, and the driver knows", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn: 'discard' })
    const pid = await backendPid(pool)
    await pool.query(PREPARED.leave)
    expect(await isThere(pool, PREPARED)).toBe(false)
    for (const number of [1, 2, 3]) {
      expect((await pool.query({ ...named, values: [number] })).rows).toEqual([{ it: number }])
    }
    const client = await pool.connect()
    for (const number of [4, 5]) await client.query({ ...named, values: [number] })
    expect((await client.query(RUNS)).rows).toEqual([{ runs: 2 }])
    client.release()
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('what onConnect has set', () => {
  const onConnect = async (client: pg.ClientBase): Promise<void> => {
    await client.query("set search_path = tenant; set app.tenant = 'ours'")
  }
  const SETTINGS = "select current_setting('search_path') as path, current_setting('app.tenant') as tenant"
  const OURS = [{ path: 'tenant', tenant: 'ours' }]

  for (const policy of POLICIES) {
    test.for(['set search_path = other', 'begin; set search_path = other', 'begin; select 1 / 0'])(
      `Holdfast: '${policy}' sets again what onConnect has set: %s`,
      async (leave, { direct }) => {
        await using pool = holdfast({ ...direct, max: 1, resetOnReturn: policy, onConnect })
        const pid = await backendPid(pool)
        const client = await pool.connect()
        await client.query(leave).catch(() => {})
        client.release()
        expect((await pool.query(SETTINGS)).rows).toEqual(OURS)
        expect(await backendPid(pool)).toBe(pid)
        await pool.query('set search_path to default')
        expect((await pool.query(SETTINGS)).rows).toEqual(OURS)
      },
    )

    test(`Holdfast: where what onConnect sets can't be set again after '${policy}', the connection is closed`, async ({
      cluster,
      direct,
    }) => {
      let calls = 0
      const onlyOnce = async (client: pg.ClientBase): Promise<void> => {
        await client.query(++calls === 2 ? 'select 1 / 0' : "set app.tenant = 'ours'")
      }
      await using pool = holdfast({ ...direct, max: 1, resetOnReturn: policy, onConnect: onlyOnce })
      const pid = await backendPid(pool)
      expect((await pool.query("select current_setting('app.tenant') as tenant")).rows).toEqual([{ tenant: 'ours' }])
      expect(await backendPid(pool)).not.toBe(pid)
      await expectHealthy(pool, cluster, direct.application_name)
    })
  }
})

describe('a reset that cannot be done', () => {
  test('Holdfast: a reset that cannot be done closes the connection', async ({ cluster, direct }) => {
    await cluster.query('revoke execute on function pg_advisory_unlock_all() from public')
    try {
      await using pool = holdfast({ ...direct, max: 1, resetOnReturn: 'session' })
      const client = await pool.connect()
      const pid = await backendPid(client)
      await client.query("set lock_timeout = '1h'")
      client.release()
      expect((await pool.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '0' }])
      expect(pool.inspect().map((each) => each.backendPid)).not.toContain(pid)
    } finally {
      await cluster.query('grant execute on function pg_advisory_unlock_all() to public')
    }
  })

  test.for(["set statement_timeout = '1ms'", 'set default_transaction_read_only = on', 'set role pg_monitor; begin'])(
    'Holdfast: no later lease inherits what may stand in the way of a reset: %s',
    async (leave, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1, resetOnReturn: 'session' })
      await pool.query(leave)
      await expectHealthy(pool, cluster, direct.application_name)
      const { rows } = await pool.query(
        "select current_setting('statement_timeout') as timeout, current_setting('transaction_read_only') as frozen, current_user::text as role",
      )
      expect(rows).toEqual([{ timeout: '0', frozen: 'off', role: 'app' }])
    },
  )
})

describe('a function of the user', () => {
  test('Holdfast: a reset function gets the client and the facts, and it holds', async ({ cluster, direct }) => {
    const told: ResetInfo[] = []
    const resetOnReturn: ResetPolicy = async (client, info) => {
      told.push(info)
      if (info.transactionStatus !== 'I') await client.query('rollback')
      await client.query('reset lock_timeout')
    }
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn })
    const client = await pool.connect()
    const pid = await backendPid(client)
    await client.query("set lock_timeout = '1h'")
    client.release()
    expect((await pool.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '0' }])
    const again = await pool.connect()
    await again.query('begin')
    again.release()
    const failed = await pool.connect()
    await failed.query('begin; select 1 / 0').catch(() => {})
    failed.release()
    expect(await backendPid(pool)).toBe(pid)
    expect(told.slice(0, 4)).toEqual([
      { transactionStatus: 'I', uses: 1 },
      { transactionStatus: 'I', uses: 2 },
      { transactionStatus: 'T', uses: 3 },
      { transactionStatus: 'E', uses: 4 },
    ])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a transaction that a reset function leaves open is rolled back', async ({ cluster, direct }) => {
    const resetOnReturn: ResetPolicy = async (client) => {
      await client.query("begin; insert into entry values ('by the reset')")
    }
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn })
    const pid = await backendPid(pool)
    expect(await backendPid(pool)).toBe(pid)
    expect(await cluster.query("select from entry where id = 'by the reset'")).toEqual([])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  const FAILING: readonly { how: string; resetOnReturn: ResetPolicy }[] = [
    {
      how: 'throws at once',
      resetOnReturn: () => {
        throw new Error('no reset today')
      },
    },
    { how: 'rejects', resetOnReturn: () => Promise.reject(new Error('no reset today')) },
    {
      how: 'fails at the server',
      resetOnReturn: async (client) => {
        await client.query('select 1 / 0')
      },
    },
  ]

  test.for(FAILING)(
    'Holdfast: if a reset function $how, the connection is closed',
    async ({ resetOnReturn }, { direct }) => {
      await using pool = holdfast({ ...direct, max: 1, resetOnReturn })
      const client = await pool.connect()
      const pid = await backendPid(client)
      client.release()
      expect(await settles(backendPid(pool), 'the next statement')).not.toBe(pid)
    },
  )

  test('Holdfast: if a reset function never ends, the connection is closed, and the next caller is served', async ({
    cluster,
    direct,
  }) => {
    const ENDLESS: readonly ResetFunction[] = [
      () => new Promise(() => {}),
      async (client) => {
        await client.query("select pg_sleep('infinity')").catch(() => {})
      },
      // Doesn't even wait for it.
      (client) => {
        client.query("select pg_sleep('infinity')").catch(() => {})
      },
    ]
    await Promise.all(
      ENDLESS.map(async (resetOnReturn) => {
        let isOver = false
        const once: ResetPolicy = (client, info) => (isOver ? undefined : resetOnReturn(client, info))
        await using pool = holdfast({ ...direct, max: 1, resetOnReturn: once })
        const client = await pool.connect()
        const pid = await backendPid(client)
        client.release()
        const next = backendPid(pool)
        expect(await isPending(next)).toBe(true)
        expect(await settles(next, 'the next caller')).not.toBe(pid)
        isOver = true
        await cluster.terminateBackends({ pid })
      }),
    )
  })

  test('Holdfast: a reset function is called even if nothing was sent', async ({ direct }) => {
    let calls = 0
    const resetOnReturn: ResetPolicy = () => {
      calls++
    }
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn })
    ;(await pool.connect()).release()
    await until(() => calls === 1)
  })
})

describe('returned without having sent anything', () => {
  for (const policy of POLICIES) {
    test(`Holdfast: '${policy}' sends nothing after a lease that sent nothing`, async ({ proxy, proxied }) => {
      await using pool = holdfast({ ...proxied, max: 1, resetOnReturn: policy, prePing: { idleMillis: 60_000 } })
      await pool.query('select 1')
      ;(await pool.connect()).release()
      const [link] = proxy.links
      const before = [link?.bytesToServer, link?.bytesToClient]
      for (let time = 1; time <= 20; time++) (await pool.connect()).release()
      expect([link?.bytesToServer, link?.bytesToClient]).toEqual(before)
      expect(pool.totalCount).toBe(1)
    })
  }
})

describe("a caller's own wish", () => {
  const SET = "set lock_timeout = '1h'"
  const UNSET = [{ lock_timeout: '0' }]
  const STILL_SET = [{ lock_timeout: '1h' }]

  test.for(POLICIES)(
    "Holdfast: connect({ resetOnReturn: '%s' }) clears more than the pool does",
    async (resetOnReturn, { direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const client = await pool.connect({ resetOnReturn })
      const pid = await backendPid(client)
      await client.query(SET)
      client.release()
      expect((await pool.query('show lock_timeout')).rows).toEqual(UNSET)
      // The next lease is back to the policy of the pool.
      await pool.query(SET)
      expect((await pool.query('show lock_timeout')).rows).toEqual(STILL_SET)
      expect(await backendPid(pool)).toBe(pid)
    },
  )

  test('Holdfast: connect({ resetOnReturn }) clears less than the pool does', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn: 'discard' })
    const client = await pool.connect({ resetOnReturn: 'rollback' })
    await client.query(SET)
    client.release()
    expect((await pool.query('show lock_timeout')).rows).toEqual(STILL_SET)
    expect((await pool.query('show lock_timeout')).rows).toEqual(UNSET)
  })

  /** As deep in an ORM, where no option can be passed. */
  async function asAnOrm(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<unknown>): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    const client = await pool.connect()
    try {
      await work(client)
    } finally {
      client.release()
    }
  }

  test('Holdfast: the resetOnReturn of a scope reaches each of its leases', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await withPoolOptions({ resetOnReturn: 'discard' }, async () => {
      await asAnOrm(pool, (client) => client.query(SET))
      expect((await pool.query('show lock_timeout')).rows).toEqual(UNSET)
      await pool.query(SET)
      expect((await pool.query('show lock_timeout')).rows).toEqual(UNSET)
      await withPoolOptions({ resetOnReturn: 'rollback' }, () => pool.query(SET))
      expect((await pool.query('show lock_timeout')).rows).toEqual(STILL_SET)
    })
    await pool.query(SET)
    expect((await pool.query('show lock_timeout')).rows).toEqual(STILL_SET)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: the resetOnReturn of a scope reaches the caller that waited, and no other', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const holder = await pool.connect()
    const inScope = withPoolOptions({ resetOnReturn: 'discard' }, () => pool.query(SET))
    const behind = pool.query('show lock_timeout')
    const setter = pool.query(SET)
    const last = pool.query('show lock_timeout')
    holder.release()
    await Promise.all([inScope, setter])
    expect((await behind).rows).toEqual(UNSET)
    expect((await last).rows).toEqual(STILL_SET)
  })
})
