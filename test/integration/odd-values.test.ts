import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { Pool, type PoolOptions, withPoolOptions } from '@holdfast/core'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, vi } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { Cluster, until } from '../support/index.ts'
import { ODD_VALUES } from '../support/odd-values.ts'

// What listeners throw is reported by warnings that have their stacks.
const warnings = vi.spyOn(process, 'emitWarning').mockReturnValue()
let unhandled = 0
const collect = (): void => void unhandled++
beforeAll(() => {
  process.on('unhandledRejection', collect)
})
afterAll(() => {
  process.off('unhandledRejection', collect)
  warnings.mockRestore()
})

/** Thousands of logins are made here, so each is a cheap one: the server asks for the password, and that is all. */
const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .override('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start({ tls: false, hba: 'host all all 127.0.0.1/32 password' })
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

const MAX = 2

/** Throws or gives the odd value, and the second time on does as it should. */
class Once {
  readonly make: () => unknown
  calls = 0

  constructor(make: () => unknown) {
    this.make = make
  }

  readonly throws = (): void => {
    if (this.calls++ === 0) throw this.make()
  }

  readonly rejects = async (): Promise<void> => this.throws()
}

interface Trial {
  readonly what: string
  /** No caller gets an error: what happens here doesn't concern the caller. */
  readonly isSilent?: true
  /** What the pool is made with. */
  options?(odd: Once): PoolOptions
  /** Meets the odd value; may fail of it. */
  run(pool: Pool, odd: Once, place: { cluster: Cluster; applicationName: string }): Promise<unknown>
}

const query = (pool: Pool): Promise<unknown> => pool.query('select 1')
const twice = (pool: Pool): Promise<unknown> => pool.query('select 1').then(() => pool.query('select 2'))

/** A listener of the pool's events. */
function listening(event: string, run: Trial['run']): Trial {
  return {
    what: `a listener of '${event}' throws`,
    isSilent: true,
    run: (pool, odd, place) => {
      pool.on(event as 'connect', odd.throws)
      return run(pool, odd, place)
    },
  }
}

async function kill(pool: Pool, { cluster, applicationName }: { cluster: Cluster; applicationName: string }) {
  await query(pool)
  const removed = once(pool, 'remove')
  await cluster.terminateBackends({ applicationName })
  await removed
}

async function aborted(pool: Pool, odd: Once, run: (signal: AbortSignal) => Promise<unknown>): Promise<unknown> {
  const controller = new AbortController()
  const running = run(controller.signal).then(
    () => undefined,
    (reason: unknown) => [reason],
  )
  await until(() => pool.waitingCount > 0 || pool.status().leased > 0)
  const reason = odd.make()
  controller.abort(reason)
  const told = await running
  // Only "nothing" is no reason: it would read as success.
  expect(told).toHaveLength(1)
  if (reason) expect(Object.is(told?.[0], reason)).toBe(true)
  return undefined
}

const CONFLICT = "do $$ begin raise exception 'conflict' using errcode = '40001'; end $$"

/** A client class of the user's, one of whose methods fails once. */
function clientThat(method: 'query' | 'connect' | 'end', fail: () => unknown): typeof pg.Client {
  class Own extends pg.Client {}
  const own = pg.Client.prototype[method] as (...args: unknown[]) => unknown
  let isFirst = true
  Object.assign(Own.prototype, {
    [method](this: pg.Client, ...args: unknown[]): unknown {
      if (!isFirst) return own.apply(this, args)
      isFirst = false
      return fail()
    },
  })
  return Own
}

const TRIALS: readonly Trial[] = [
  listening('connect', query),
  listening('acquire', query),
  listening('release', query),
  listening('remove', (pool) => pool.connect().then((client) => client.release(true))),
  listening('error', (pool, _odd, place) => kill(pool, place)),
  ...(['debug', 'info', 'warn', 'error'] as const).map((level) => ({
    what: `logger.${level} throws`,
    isSilent: true as const,
    options: (odd: Once) => {
      const quiet = { debug() {}, info() {}, warn() {}, error() {} }
      const logger = { ...quiet, [level]: odd.throws }
      return {
        echo: 'debug' as const,
        logger,
        leakDetectionMillis: 1,
        resetOnReturn: () => Promise.reject(new Error()),
      }
    },
    run: async (pool: Pool) => {
      const client = await pool.connect()
      await client.query('begin')
      await until(() => pool.status().leased === 1)
      client.release()
      await query(pool)
      pool.invalidate()
    },
  })),
  { what: 'log throws', isSilent: true, options: (odd) => ({ log: odd.throws }), run: query },
  { what: 'onConnect throws', options: (odd) => ({ onConnect: odd.throws as never }), run: query },
  { what: 'onConnect rejects', options: (odd) => ({ onConnect: odd.rejects }), run: query },
  { what: 'verify throws', options: (odd) => ({ verify: verifying(odd.throws) }), run: query },
  {
    what: 'verify passes it on',
    options: (odd) => ({ verify: (_client, done) => done(odd.calls++ === 0 ? (odd.make() as Error) : undefined) }),
    run: query,
  },
  { what: 'password throws', options: (odd) => ({ password: passwordAfter(odd.throws) }), run: query },
  {
    what: 'password rejects',
    options: (odd) => ({ password: passwordAfter(odd.rejects) }),
    run: query,
  },
  { what: 'stream throws', options: (odd) => ({ stream: socketAfter(odd) }) as object, run: query },
  {
    what: 'resetOnReturn throws',
    isSilent: true,
    options: (odd) => ({ resetOnReturn: odd.throws as never }),
    run: twice,
  },
  { what: 'resetOnReturn rejects', isSilent: true, options: (odd) => ({ resetOnReturn: odd.rejects }), run: twice },
  {
    what: 'release is called with it',
    isSilent: true,
    run: async (pool, odd) => (await pool.connect()).release(odd.make() as never),
  },
  {
    what: 'invalidate is called with it',
    isSilent: true,
    run: async (pool, odd) => {
      await query(pool)
      pool.invalidate(odd.make())
    },
  },
  { what: 'the function of a transaction throws', run: (pool, odd) => pool.transaction(odd.throws) },
  { what: 'the function of a transaction rejects', run: (pool, odd) => pool.transaction(odd.rejects) },
  {
    what: 'the function of a savepoint rejects',
    run: (pool, odd) => pool.transaction((tx) => tx.savepoint(odd.rejects)),
  },
  {
    what: 'onRetry throws',
    run: (pool, odd) =>
      pool.transaction((tx) => tx.query(CONFLICT), { onRetry: odd.throws, retry: { retries: 2, minTimeout: 1 } }),
  },
  { what: 'the work of a scope throws', run: (_pool, odd) => withPoolOptions({}, () => odd.rejects()) },
  {
    what: 'a signal is aborted with it while a statement runs',
    run: (pool, odd) => aborted(pool, odd, (signal) => pool.query({ text: 'select pg_sleep(60)', signal })),
  },
  {
    what: 'a signal is aborted with it while a transaction runs',
    run: (pool, odd) =>
      aborted(pool, odd, (signal) => pool.transaction((tx) => tx.query('select pg_sleep(60)'), { signal })),
  },
  {
    what: 'a signal is aborted with it before a transaction is committed',
    run: (pool, odd) => {
      const controller = new AbortController()
      return pool.transaction(() => controller.abort(odd.make()), { signal: controller.signal })
    },
  },
  {
    what: 'a signal is aborted with it while somebody waits',
    run: async (pool, odd) => {
      const holders = await Promise.all(Array.from({ length: MAX }, () => pool.connect()))
      await aborted(pool, odd, (signal) => pool.connect({ signal }))
      for (const holder of holders) holder.release()
    },
  },
  {
    what: 'a value throws when it is put into words',
    run: (pool, odd) => pool.query('select $1::text', [{ toPostgres: odd.throws }]),
  },
  {
    what: 'a type parser throws',
    run: (pool, odd) => pool.query({ text: 'select 1', types: { getTypeParser: () => odd.throws } } as never),
  },
  {
    what: 'the choice of a type parser throws',
    run: (pool, odd) => pool.query({ text: 'select 1', types: { getTypeParser: odd.throws } } as never),
  },
  {
    what: 'the choice of a type parser throws, of rows as arrays',
    run: (pool, odd) =>
      pool.query({ text: 'select 1 as a, 2 as a', rowMode: 'array', types: { getTypeParser: odd.throws } } as never),
  },
  {
    what: 'a Client whose connect rejects',
    options: (odd) => ({ Client: clientThat('connect', odd.rejects) as never }),
    run: query,
  },
  {
    what: 'a Client whose connect throws',
    options: (odd) => ({ Client: clientThat('connect', odd.throws) as never }),
    run: query,
  },
  {
    what: 'a Client whose query rejects',
    options: (odd) => ({ Client: clientThat('query', odd.rejects) as never }),
    run: query,
  },
  {
    what: 'a Client whose query throws',
    options: (odd) => ({ Client: clientThat('query', odd.throws) as never }),
    run: query,
  },
  {
    what: 'a Client whose end rejects',
    options: (odd) => ({ Client: clientThat('end', odd.rejects) as never }),
    run: async (pool) => {
      await query(pool)
      await pool.dispose()
    },
  },
  {
    what: 'a Client whose end throws',
    options: (odd) => ({ Client: clientThat('end', odd.throws) as never }),
    run: async (pool) => {
      await query(pool)
      await pool.dispose()
    },
  },
]

function verifying(check: () => void): NonNullable<PoolOptions['verify']> {
  return (_client, done) => {
    check()
    done()
  }
}

let password = ''
function passwordAfter(step: () => unknown): () => Promise<string> {
  return (async () => {
    await step()
    return password
  }) as never
}

function socketAfter(odd: Once): () => unknown {
  return () => {
    odd.throws()
    return new pg.Connection({} as object).stream
  }
}

/** Every slot is there, and serves; whatever there is ends. */
async function expectAllSlots(pool: Pool): Promise<void> {
  const clients = await settles(Promise.all(Array.from({ length: MAX }, () => pool.connect())), 'all slots')
  await settles(Promise.all(clients.map((client) => client.query('select 1'))), 'their statements')
  expect(pool.status()).toMatchObject({ leased: MAX, waiting: 0 })
  for (const client of clients) client.release()
  await settles(pool.end(), 'the end')
}

describe('what a user throws need not be an Error', () => {
  test.for(TRIALS)(
    'an odd value harms no other caller when it is thrown: $what',
    { timeout: 60_000 },
    async ({ options, run, isSilent }, { cluster, direct, applicationName }) => {
      password = String(direct.password)
      unhandled = 0
      for (const [name, make] of ODD_VALUES) {
        const odd = new Once(make)
        const pool = new Pool({ ...direct, max: MAX, closeTimeoutMillis: 500, prePing: false, ...options?.(odd) })
        // Told by whatever it is: a rejection with the odd value itself, or with an error about it.
        const trial = run(pool, odd, { cluster, applicationName })
        await settles(isSilent ? trial : trial.catch(() => {}), `meeting ${name}`)
        await expectAllSlots(pool).catch((error: unknown) => {
          throw new Error(`The pool has not got over ${name}`, { cause: error })
        })
      }
      expect(unhandled).toBe(0)
      await until(async () => (await cluster.countSessions({ applicationName })) === 0, {
        what: 'no session to be left',
      })
    },
  )
})

describe('what a user gives need not work', () => {
  test('a stream factory that returns a promise is refused, and its socket is closed', async ({ direct }) => {
    const sockets: Duplex[] = []
    const stream = async (): Promise<Duplex> => {
      const socket = new pg.Connection({} as object).stream
      sockets.push(socket)
      return socket
    }
    const pool = new Pool({ ...direct, max: MAX, stream } as object)
    for (const run of [() => pool.query('select 1'), () => pool.connect(), () => pool.transaction(() => {})]) {
      const error = await rejection(run())
      expect(error).toMatchObject({ code: 'HOLDFAST_INVALID_OPTION', message: expect.stringContaining('`stream`') })
    }
    expect(pool.totalCount).toBe(0)
    await settles(pool.end(), 'the end')
    await until(() => sockets.every(({ destroyed }) => destroyed))
  })

  test.for(['with a promise', 'with a callback'])(
    'a Client whose query never settles is given up at query_timeout, called %s',
    async (_how, { direct }) => {
      class Stuck extends pg.Client {}
      Object.assign(Stuck.prototype, { query: () => new Promise(() => {}) })
      await using pool = new Pool({ ...direct, max: 1, query_timeout: 200, Client: Stuck as never, prePing: false })
      using client = await pool.connect()
      const told = _how === 'with a promise' ? client.query('select 1') : called(client)
      expect(await rejection(told)).toMatchObject({
        name: 'ConnectionLostError',
        cause: { message: 'Query read timeout' },
      })
      expect(pool.totalCount).toBe(0)
      expect(await rejection(pool.query('select 1'))).toMatchObject({ name: 'ConnectionLostError' })
    },
  )

  test.for(['chosen', 'called'])(
    'a type parser that throws when it is %s fails its statement alone',
    async (when, { direct }) => {
      await using pool = new Pool({ ...direct, max: 1 })
      const error = new RangeError('of the parser')
      const fail = (): never => {
        throw error
      }
      const statement = { text: 'select generate_series(1, 1000) as n', types: { getTypeParser: () => fail } } as object
      const { rows } = await pool.query('select pg_backend_pid() as pid')
      const failing = when === 'chosen' ? { ...statement, types: { getTypeParser: fail } } : statement
      for (const values of [undefined, []]) {
        expect(await rejection(pool.query({ ...failing, values } as never))).toBe(error)
        expect((await pool.query('select pg_backend_pid() as pid')).rows).toEqual(rows)
      }
    },
  )
})

/** A statement that is asked by a callback. */
function called(client: pg.ClientBase): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.query('select 1', (error, result) => (error ? reject(error) : resolve(result)))
  })
}
