import { type Pool, type PoolOptions, physicalClient, ReleaseError, runTransaction } from '@holdfast/core'
import type pg from 'pg'
import { from } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { describe, expect } from 'vitest'
import { deferred } from '../support/deferred.ts'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

/** What a caller does with a client that it has released. Resolves with the error that it gets. */
interface LateUse {
  readonly use: string
  late(former: pg.PoolClient): Promise<unknown>
}

const LATE_USES: readonly LateUse[] = [
  { use: 'a commit', late: (former) => rejection(former.query('commit')) },
  { use: 'a rollback', late: (former) => rejection(former.query('rollback')) },
  { use: 'parameters', late: (former) => rejection(former.query('select $1::int', [1])) },
  { use: 'a named statement', late: (former) => rejection(former.query({ name: 'late', text: 'select 1' })) },
  {
    use: 'a callback',
    late: (former) => new Promise((resolve) => former.query('rollback', (error: unknown) => resolve(error))),
  },
  { use: 'a cursor', late: (former) => rejection(former.query(new Cursor('select 1')).read(1)) },
  {
    use: 'a stream',
    late: (former) => rejection(former.query(new QueryStream('select 1')).toArray()),
  },
  {
    use: 'a copy',
    late: (former) =>
      new Promise((resolve) => former.query(from('copy entry from stdin')).on('error', resolve).end('late\n')),
  },
  { use: 'an end', late: (former) => rejection((former as unknown as pg.Client).end()) },
  {
    use: 'an end with a callback',
    late: (former) => new Promise((resolve) => void (former as unknown as pg.Client).end(resolve)),
  },
  { use: 'a release', late: async (former) => thrownBy(() => former.release()) },
  { use: 'a release that discards', late: async (former) => thrownBy(() => former.release(true)) },
]

interface Meeting {
  readonly pool: Pool
  readonly cluster: Cluster
  /** Ends the lease of the former holder. */
  readonly release: () => void
  readonly slow: SlowReset
  readonly late: () => Promise<void>
}

/** Whoever has the connection when the late use comes; what it does must be as if nothing had come. */
interface NextHolder {
  readonly who: string
  readonly options?: PoolOptions
  hold(meeting: Meeting): Promise<void>
}

const idsIn = async (cluster: Cluster, id: string): Promise<unknown[]> =>
  cluster.query('select id from entry where id = $1', [id])

let lastId = 0
const newId = (): string => `late-${++lastId}`

/** A reset function of the user's that can be made to wait, until it is made to end. */
class SlowReset {
  isWaiting = false
  #mustWait = false
  #end = (): void => {}

  readonly reset = async (client: pg.ClientBase): Promise<void> => {
    if (!this.#mustWait) return
    await client.query('select 1')
    await new Promise<void>((resolve) => {
      this.#end = resolve
      this.isWaiting = true
    })
    this.isWaiting = false
    await client.query('select 2')
  }

  wait(): void {
    this.#mustWait = true
  }

  end(): void {
    this.#mustWait = false
    this.#end()
  }
}

function transactionOf(who: string, end: 'commit' | 'rollback', isWritten: boolean): NextHolder {
  return {
    who,
    async hold({ pool, cluster, release, late }) {
      release()
      const id = newId()
      const next = await pool.connect()
      await next.query('begin')
      await next.query('insert into entry values ($1)', [id])
      await late()
      expect((await next.query(end)).command).toBe(end.toUpperCase())
      expect(await idsIn(cluster, id)).toEqual(isWritten ? [{ id }] : [])
      next.release()
    },
  }
}

const NEXT_HOLDERS: readonly NextHolder[] = [
  {
    who: 'nobody',
    async hold({ release, late }) {
      release()
      await late()
    },
  },
  {
    who: 'a plain lease',
    async hold({ pool, release, late }) {
      release()
      const next = await pool.connect()
      const before = next.query('select 1 as one')
      await late()
      expect((await before).rows).toEqual([{ one: 1 }])
      expect((await next.query('select 2 as two')).rows).toEqual([{ two: 2 }])
      next.release()
    },
  },
  transactionOf('a transaction that commits', 'commit', true),
  transactionOf('a transaction that rolls back', 'rollback', false),
  {
    who: 'pool.transaction',
    async hold({ pool, cluster, release, late }) {
      release()
      const id = newId()
      await pool.transaction(async (tx) => {
        await tx.query('insert into entry values ($1)', [id])
        await late()
      })
      expect(await idsIn(cluster, id)).toEqual([{ id }])
    },
  },
  {
    who: 'pool.query',
    async hold({ pool, cluster, release, late }) {
      release()
      await cluster.withAdmin(async (admin) => {
        await admin.query('select pg_advisory_lock(12)')
        const running = pool.query("select pg_advisory_lock_shared(12), 'done' as it")
        await until(async () => (await cluster.query('select from pg_locks where not granted')).length > 0)
        await late()
        await admin.query('select pg_advisory_unlock(12)')
        expect((await settles(running, 'the statement of pool.query')).rows).toMatchObject([{ it: 'done' }])
      })
    },
  },
  {
    who: 'nobody, and is being reset',
    async hold({ release, slow, late }) {
      slow.wait()
      release()
      await until(() => slow.isWaiting)
      await late()
      slow.end()
    },
  },
  {
    who: 'nobody, and is being reset after another lease',
    async hold({ pool, release, slow, late }) {
      release()
      const next = await pool.connect()
      slow.wait()
      await next.query('select 1')
      next.release()
      await until(() => slow.isWaiting)
      await late()
      slow.end()
    },
  },
  {
    who: 'a ping',
    options: { prePing: { idleMillis: 0, timeoutMillis: 10_000 } },
    async hold({ pool, release, late }) {
      release()
      await until(() => pool.idleCount === 1)
      const next = pool.connect()
      expect(pool.inspect().map(({ state }) => state)).toEqual(['checking'])
      await late()
      ;(await settles(next, 'the pinged client')).release()
    },
  },
]

function thrownBy(run: () => void): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}

describe.for(NEXT_HOLDERS)('after its release, when the connection belongs to $who, a client refuses', (holder) => {
  test.for(LATE_USES)('a client refuses after its release: $use', async ({ late }, { cluster, direct }) => {
    const slow = new SlowReset()
    await using pool = holdfast({ ...direct, max: 1, prePing: false, resetOnReturn: slow.reset, ...holder.options })
    const former = await pool.connect()
    await former.query('begin')
    await former.query('commit')
    const refuse = async (): Promise<void> => {
      const error = await settles(late(former), 'the late use')
      expect(error).toBeInstanceOf(ReleaseError)
      expect(error).toMatchObject({
        code: 'HOLDFAST_RELEASED',
        message: expect.stringContaining('released to the pool'),
      })
    }
    await holder.hold({ pool, cluster, slow, release: () => former.release(), late: refuse })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('what was begun before the release', () => {
  test('a statement that was begun before the release and waited for its turn is done', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const statements = [1, 2, 3].map((number) => client.query('select $1::int as number', [number]))
    client.release()
    const rows = (await Promise.all(statements)).map((result) => result.rows)
    expect(rows).toEqual([[{ number: 1 }], [{ number: 2 }], [{ number: 3 }]])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a cursor begun before the release is read no further, and can be closed', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor('select generate_series(1, 9) as it'))
    expect(await cursor.read(2)).toEqual([{ it: 1 }, { it: 2 }])
    client.release()
    expect(await settles(rejection(cursor.read(2)), 'the late read')).toBeInstanceOf(ReleaseError)
    await settles(cursor.close(), 'the late close')
    expect(await backendsOf(pool)).toEqual([physicalPid(client)])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a cursor that was read to its end before the release affects no later lease', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor('select 1 as it'))
    await cursor.read(10)
    await until(() => client.getTransactionStatus() === 'I')
    client.release()
    const next = await pool.connect()
    const statement = next.query('select 2 as it')
    expect(await settles(cursor.read(1), 'the late read')).toEqual([])
    await settles(cursor.close(), 'the late close')
    expect((await statement).rows).toEqual([{ it: 2 }])
    next.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a stream begun before the release ends with the error, and frees its slot', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const stream = client.query(new QueryStream('select generate_series(1, 1000) as it', [], { highWaterMark: 5 }))
    const rows: unknown[] = []
    const failed = settles(
      rejection(
        (async () => {
          for await (const row of stream) {
            rows.push(row)
            if (rows.length === 1) client.release()
          }
        })(),
      ),
      'the end of the stream',
    )
    expect(await failed).toBeInstanceOf(ReleaseError)
    expect(rows.length).toBeLessThan(1000)
    expect(await backendsOf(pool)).toEqual([physicalPid(client)])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a COPY begun before the release takes nothing more and writes nothing', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const ingest = client.query(from('copy entry from stdin'))
    const failed = new Promise((resolve) => ingest.on('error', resolve))
    await new Promise((resolve) => ingest.write('copied-in-time\n', resolve))
    client.release()
    const told = new Promise((resolve) => ingest.write('copied-too-late\n', resolve))
    expect(await settles(failed, 'the error of the stream')).toBeInstanceOf(ReleaseError)
    expect(await settles(told, 'the callback of the write')).toBeInstanceOf(ReleaseError)
    expect(await cluster.query("select id from entry where id like 'copied-%'")).toEqual([])
    expect(await backendsOf(pool)).toEqual([physicalPid(client)])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('listeners of an earlier lease', () => {
  const NOTICE = "do $$ begin raise notice 'for the holder'; end $$"

  test('listeners of an earlier lease get nothing of the next lease or of pool.query', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const heard: string[] = []
    const lease = async (name: string): Promise<void> => {
      const client = await pool.connect()
      client.on('notice', () => heard.push(name))
      await client.query(NOTICE)
      client.release()
    }
    await lease('first')
    await pool.query(NOTICE)
    await lease('second')
    await pool.query(NOTICE)
    expect(heard).toEqual(['first', 'second'])
  })

  test('listeners do not pile up when each lease adds some', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const counts = new Set<number>()
    for (let time = 1; time <= 50; time++) {
      const client = await pool.connect()
      client.on('error', () => {})
      client.once('notice', () => {})
      client.prependListener('end', () => {})
      counts.add(client.listenerCount('error') + client.listenerCount('notice') + client.listenerCount('end'))
      client.release()
    }
    expect([...counts]).toEqual([3])
  })

  test('listeners that are added late get nothing, and removing them late removes no others', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const heard: string[] = []
    const listener = (): void => void heard.push('shared')
    const former = await pool.connect()
    former.on('notice', listener)
    former.release()
    const next = await pool.connect()
    next.on('notice', listener)
    former.on('notice', () => heard.push('late'))
    former.off('notice', listener)
    former.removeAllListeners()
    expect(former.emit('notice', new Error('made up'))).toBe(false)
    await next.query(NOTICE)
    expect(heard).toEqual(['shared'])
    next.release()
  })

  test('an error that is emitted on a released client does not end the connection', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const former = await pool.connect()
    former.release()
    const next = await pool.connect()
    expect(former.emit('error', new Error('made up'))).toBe(false)
    expect((await next.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    next.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('listeners of a lease stay until the next one: they get the end event', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const ended = new Promise<void>((resolve) => client.once('end', resolve))
    client.release()
    await pool.end()
    await settles(ended, 'the end')
  })

  test('listeners that the program has put on the client itself stay with it', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const heard: unknown[] = []
    pool.on('connect', (client) => client.on('notice', ({ message }) => heard.push(message)))
    for (let time = 1; time <= 2; time++) {
      const client = await pool.connect()
      await client.query(NOTICE)
      client.release()
    }
    expect(heard).toEqual(['for the holder', 'for the holder'])
  })
})

describe.each([true, false])(
  'work that outlives the transaction in which it began, clientPerLease: %s',
  (clientPerLease) => {
    /** Begins work in a transaction. Resolves when the transaction has ended; `work` runs when `start` is called. */
    async function beginIn(pool: Pool, work: () => Promise<unknown>): Promise<() => Promise<unknown>> {
      const { promise, resolve } = deferred()
      let result: Promise<unknown> | undefined
      await pool.transaction(async (tx) => {
        await tx.query('select 1')
        result = promise.then(work)
      })
      return () => {
        resolve()
        return settles(result as Promise<unknown>, 'the work')
      }
    }

    test("work that outlives its transaction may use another caller's client on its connection", async ({ direct }) => {
      await using pool = holdfast({ ...direct, max: 1, clientPerLease })
      let shared: pg.PoolClient | undefined
      const start = await beginIn(pool, async () => (await (shared as pg.PoolClient).query('select 1 as one')).rows)
      shared = await pool.connect()
      await shared.query('begin')
      expect(await start()).toEqual([{ one: 1 }])
      expect((await shared.query('commit')).command).toBe('COMMIT')
      shared.release()
    })

    test('work that outlives its transaction may use a cursor on the client of another caller', async ({ direct }) => {
      await using pool = holdfast({ ...direct, max: 1, clientPerLease })
      let shared: pg.PoolClient | undefined
      const start = await beginIn(pool, () => (shared as pg.PoolClient).query(new Cursor('select 1 as one')).read(2))
      shared = await pool.connect()
      expect(await start()).toEqual([{ one: 1 }])
      shared.release()
    })

    test('work that outlives its transaction may use the transaction of another caller', async ({ direct }) => {
      await using pool = holdfast({ ...direct, max: 1, clientPerLease })
      let job: (() => Promise<unknown>) | undefined
      const start = await beginIn(pool, () => (job as () => Promise<unknown>)())
      const rows = await pool.transaction(async (tx) => {
        job = async () => (await tx.query('select 1 as one')).rows
        return await start()
      })
      expect(rows).toEqual([{ one: 1 }])
    })

    test("work that outlives an adapter's transaction is refused its own client", async ({ cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1, clientPerLease })
      const { promise, resolve } = deferred()
      let late: Promise<unknown> | undefined
      await runTransaction(
        async (work: (tx: pg.PoolClient) => Promise<unknown>) => {
          const client = await pool.connect()
          await client.query('begin')
          await work(client)
          await client.query('commit')
          client.release()
        },
        async (tx) => {
          await tx.query('select 1')
          late = promise.then(() => rejection(tx.query("insert into entry values ('late, of an adapter')")))
        },
      )
      const next = await pool.connect()
      await next.query('begin')
      resolve()
      expect(await settles(late as Promise<unknown>, 'the late statement')).toBeInstanceOf(ReleaseError)
      await next.query('commit')
      next.release()
      expect(await cluster.query("select id from entry where id = 'late, of an adapter'")).toEqual([])
    })
  },
)

/** The sessions of the pool, when all of them are idle. */
async function backendsOf(pool: Pool): Promise<(number | null)[]> {
  await until(() => pool.idleCount > 0 && pool.idleCount === pool.totalCount)
  return pool.inspect().map(({ backendPid }) => backendPid)
}

function physicalPid(client: pg.PoolClient): number {
  return (physicalClient(client) as unknown as { readonly processID: number }).processID
}
