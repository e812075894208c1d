import { ConnectionLostError, isRetryable, type Pool, type PoolOptions, PoolTimeoutError } from '@holdfast/core'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { until } from '../support/index.ts'
import { POOLER_SAYINGS } from '../support/pooler-sayings.ts'
import { message, ScriptedServer, type ScriptedSession } from '../support/scripted-server.ts'
import { holdfast as pinging, StockPool, WAYS, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

/** Without pings, so that the statement itself meets the words. */
function holdfast(options: PoolOptions): Pool {
  return pinging({ prePing: false, ...options })
}

/** A pooler that accepts every login, whether or not it has a server. */
class Pooler implements AsyncDisposable {
  /** What it says in place of its server's answer; undefined while it has one. */
  words: Buffer | undefined
  /** What it sends at a login. */
  loginWords: Buffer | undefined
  /** The statements that its server has run. */
  readonly ran: string[] = []
  /** How many statements it has refused. */
  refused = 0
  /** How many sessions were being opened, or asked for a sign of life, at the same time; since the first refusal. */
  mostConnecting = 0
  #connecting = 0
  #server: ScriptedServer | undefined

  static async start(): Promise<Pooler> {
    const pooler = new Pooler()
    pooler.#server = await ScriptedServer.start((session) => pooler.#serve(session))
    return pooler
  }

  get server(): ScriptedServer {
    return this.#server as ScriptedServer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }

  async #serve(session: ScriptedSession): Promise<void> {
    await session.next()
    if (this.refused > 0) this.mostConnecting = Math.max(this.mostConnecting, ++this.#connecting)
    if (this.loginWords) return this.#refuse(session, this.loginWords)
    session.send(message.loggedIn(session.number))
    let status: 'I' | 'T' = 'I'
    for (let asked = await session.next(); asked; asked = await session.next()) {
      if (asked.letter !== 'Q') continue
      this.#connecting = Math.max(0, this.#connecting - 1)
      if (this.words) return this.#refuse(session, this.words)
      const sql = asked.body.toString().replaceAll('\0', '')
      if (/^begin/i.test(sql)) status = 'T'
      if (/^commit/i.test(sql)) status = 'I'
      if (sql === ';') session.send(message.empty())
      // The watch asks each new session who it is.
      else if (sql.includes('pg_postmaster_start_time')) session.send(message.done('SELECT 0', status))
      else if (/^begin/i.test(sql)) session.send(message.done('BEGIN', status))
      else {
        this.ran.push(sql)
        session.send(message.done(/^commit/i.test(sql) ? 'COMMIT' : 'INSERT 0 1', status))
      }
    }
  }

  #refuse(session: ScriptedSession, words: Buffer): void {
    this.refused++
    this.#connecting = 0
    session.send(words)
    session.close()
  }
}

const AWAY = message.error('FATAL', '08P01', 'server login has been failing, try again later (server_login_retry)')
const ENOUGH_REFUSALS = 4

const REFUSED = POOLER_SAYINGS.filter(([, , meaning]) => meaning === 'refused')
const FINAL = POOLER_SAYINGS.filter(([, , meaning]) => meaning === 'final')
const LOST = POOLER_SAYINGS.filter(([, , meaning]) => meaning === 'lost')

// Concurrent, since all of it is waiting.
describe.concurrent.each(REFUSED)('FATAL %s "%s"', (code, what) => {
  const words = message.error('FATAL', code, what)

  test(`a write refused by ${code} "${what}" runs again when the server is back, once, with one opening at a time`, async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast({ ...pooler.server.config(), max: 4 })
    await warmUp(pool, 4)
    pooler.words = words
    const statement = pool.query('insert into t values (1)')
    await until(() => pooler.refused >= ENOUGH_REFUSALS)
    pooler.words = undefined
    await settles(statement, 'the statement')
    expect(pooler.ran.filter((sql) => sql.startsWith('insert'))).toEqual(['insert into t values (1)'])
    expect(pooler.mostConnecting).toBe(1)
  })

  test(`a login refused by ${code} "${what}" lets the caller wait until the server is back`, async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast({ ...pooler.server.config(), max: 4 })
    pooler.loginWords = words
    const statement = pool.query('insert into t values (1)')
    await until(() => pooler.refused >= ENOUGH_REFUSALS)
    pooler.loginWords = undefined
    await settles(statement, 'the statement')
    expect(pooler.ran).toEqual(['insert into t values (1)'])
  })
})

describe.concurrent.each(FINAL)('FATAL %s "%s"', (code, what) => {
  const words = message.error('FATAL', code, what)

  test(`FATAL ${code} "${what}" rejects at once, and says that nothing ran`, async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast(pooler.server.config())
    await pool.query('select 1')
    pooler.words = words
    const error = await rejection(pool.query('insert into t values (1)'))
    expect(error).toMatchObject({ name: 'ConnectionLostError', code, commitOutcome: 'aborted' })
    expect(pooler.refused).toBe(1)
    pooler.loginWords = words
    expect(await rejection(pool.query('insert into t values (2)'))).toMatchObject({ name: 'ConnectError', code })
    expect(pooler.ran).toEqual(['select 1'])
  })
})

describe.concurrent.each(LOST)('FATAL %s "%s"', (code, what) => {
  test(`FATAL ${code} "${what}" rejects, and says that the outcome of the statement is unknown`, async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast(pooler.server.config())
    await pool.query('select 1')
    pooler.words = message.error('FATAL', code, what)
    const error = await rejection(pool.query('insert into t values (1)'))
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ code, commitOutcome: 'unknown', sent: true })
    expect(pooler.refused).toBe(1)
  })
})

describe.concurrent('the server of a pooler is away', () => {
  test('stock pg.Pool: a pooler without a server is an error for every statement', async () => {
    await using pooler = await Pooler.start()
    pooler.words = AWAY
    await using pool = new StockPool(pooler.server.config())
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => pool.query('select 1')))
    for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { code: '08P01' } })
  })

  test("Holdfast: many callers wait for a pooler's server, and are served in their order", async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast({ ...pooler.server.config(), max: 3 })
    await warmUp(pool, 3)
    pooler.words = AWAY
    const first = Array.from({ length: 3 }, (_, index) => pool.query(`insert ${index}`))
    await until(() => pooler.refused >= 3)
    const others = Array.from({ length: 9 }, (_, index) => pool.query(`insert ${index + 3}`))
    await until(() => pooler.refused >= 3 + ENOUGH_REFUSALS)
    pooler.words = undefined
    await settles(Promise.all([...first, ...others]), 'the callers')
    const ran = pooler.ran.filter((sql) => sql.startsWith('insert'))
    expect(ran.toSorted((one, other) => numberOf(one) - numberOf(other))).toEqual(
      Array.from({ length: 12 }, (_, index) => `insert ${index}`),
    )
    // Callers whose statements were refused come before later callers.
    expect(ran.slice(0, 3).map(numberOf).toSorted()).toEqual([0, 1, 2])
  })

  test("Holdfast: a caller that waits for a pooler's server rejects at the deadline with the reason", async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast({ ...pooler.server.config(), connectionTimeoutMillis: 1000 })
    await pool.query('select 1')
    pooler.words = AWAY
    const error = await rejection(pool.query('insert into t values (1)'))
    expect(error).toBeInstanceOf(PoolTimeoutError)
    expect(error.cause).toMatchObject({
      name: 'ConnectError',
      message: expect.stringContaining('login has been failing'),
    })
    expect(pooler.ran).toEqual(['select 1'])
    expect(pool.waitingCount).toBe(0)
  })

  test("Holdfast: a signal removes a caller that waits for a pooler's server from the queue", async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast(pooler.server.config())
    await pool.query('select 1')
    pooler.words = AWAY
    const controller = new AbortController()
    const statement = rejection(pool.query({ text: 'insert into t values (1)', signal: controller.signal } as never))
    await until(() => pooler.refused >= ENOUGH_REFUSALS)
    const reason = new Error('enough')
    controller.abort(reason)
    expect(await statement).toBe(reason)
    expect(pooler.ran).toEqual(['select 1'])
  })

  test("Holdfast: end() refuses the callers that wait for a pooler's server", async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast(pooler.server.config())
    await pool.query('select 1')
    pooler.words = AWAY
    const statement = rejection(pool.query('insert into t values (1)'))
    await until(() => pooler.refused >= ENOUGH_REFUSALS)
    await settles(pool.end(), 'end()')
    expect(await statement).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
  })

  test('Holdfast: a transaction whose BEGIN a pooler refuses is run again as a whole', async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast({ ...pooler.server.config(), lostCommit: 'report' })
    await pool.query('select 1')
    pooler.words = AWAY
    const transaction = pool.transaction(async (tx) => {
      await tx.query('insert into t values (1)')
    })
    await until(() => pooler.refused >= ENOUGH_REFUSALS)
    pooler.words = undefined
    await settles(transaction, 'the transaction')
    expect(pooler.ran).toEqual(['select 1', 'insert into t values (1)', expect.stringMatching(/^commit/i)])
  })

  test("Holdfast: a hook that asks for something waits for a pooler's server as well", async () => {
    await using pooler = await Pooler.start()
    pooler.words = AWAY
    await using pool = holdfast({
      ...pooler.server.config(),
      onConnect: async (client) => {
        await client.query('set a = b')
      },
    })
    const statement = pool.query('insert into t values (1)')
    await until(() => pooler.refused >= ENOUGH_REFUSALS)
    pooler.words = undefined
    await settles(statement, 'the statement')
    expect(pooler.ran).toEqual(['set a = b', 'insert into t values (1)'])
  })

  test('Holdfast: where `connect` is overridden, a statement that a pooler refused runs again through it', async () => {
    await using pooler = await Pooler.start()
    const plain = holdfast(pooler.server.config())
    let asked = 0
    const { connect } = plain
    await using pool = Object.assign(plain, {
      connect: ((...args: []) => {
        asked++
        return connect.apply(plain, args as never)
      }) as typeof connect,
    })
    await pool.query('select 1')
    pooler.words = AWAY
    const statement = pool.query('insert into t values (1)')
    await until(() => pooler.refused >= ENOUGH_REFUSALS)
    pooler.words = undefined
    await settles(statement, 'the statement')
    expect(pooler.ran).toEqual(['select 1', 'insert into t values (1)'])
    expect(asked).toBe(3)
  })

  test('Holdfast: a stream gets the error of a pooler, since it has been used', async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast(pooler.server.config())
    await pool.query('select 1')
    pooler.words = AWAY
    const error = await rejection(pool.query(new pg.Query('insert into t values (1)')) as never)
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(isRetryable(error)).toBe(true)
  })
})

describe.concurrent.each(WAYS)('a session of its own, through $way', ({ way, run }) => {
  test('Holdfast: what a pooler refused may be run again, and says so', async () => {
    await using pooler = await Pooler.start()
    await using pool = holdfast({ ...pooler.server.config(), connectionTimeoutMillis: 1000 })
    await pool.query('select 1')
    pooler.words = AWAY
    const error = await rejection(run(pool, 'begin'))
    if (way === 'pool.connect') expect(error).toMatchObject({ commitOutcome: 'aborted', code: '08P01' })
    else expect(error).toBeInstanceOf(PoolTimeoutError)
    expect(isRetryable(error)).toBe(way === 'pool.connect')
  })
})

function numberOf(sql: string): number {
  return Number(/\d+/.exec(sql)?.[0])
}

describe.concurrent('a pooler accepts every login, and has one server', () => {
  const IDENTITY = { backend_start: '1', server_start: '1', now: '1' }

  /** A pooler that gives its only server to the session that was first, as in session mode. */
  function startFull(): Promise<ScriptedServer> {
    return ScriptedServer.start(async (session) => {
      await session.next()
      session.send(message.loggedIn(session.number))
      for (let asked = await session.next(); asked; asked = await session.next()) {
        if (asked.letter !== 'Q' || session.number > 1) continue
        const sql = asked.body.toString().replaceAll('\0', '')
        if (sql === ';') session.send(message.empty())
        else if (sql.includes('pg_postmaster_start_time')) session.send(message.row({ pid: '4711', ...IDENTITY }))
        else setTimeout(() => session.send(message.done('INSERT 0 1')), 20)
      }
    })
  }

  test('Holdfast: the connection that has a server serves every caller, while others wait for one', async () => {
    await using server = await startFull()
    await using pool = holdfast({ ...server.config(), max: 4 })
    await pool.query('insert 0')
    const callers = Array.from({ length: 4 }, (_, index) => pool.query(`insert ${index + 1}`))
    await settles(Promise.all(callers), 'the callers')
    expect(server.sessions.length).toBeGreaterThan(1)
  })

  test('Holdfast: a caller for which a full pooler has no server rejects at its deadline', async () => {
    await using server = await startFull()
    await using pool = holdfast({ ...server.config(), max: 2, connectionTimeoutMillis: 500 })
    const client = await pool.connect()
    expect(await rejection(pool.query('insert 1'))).toBeInstanceOf(PoolTimeoutError)
    client.release()
    await settles(pool.query('insert 2'), 'the next statement')
  })
})

describe.concurrent('a pooler is busy', () => {
  /** A session is served by `pid`. From a moment on, pings of one session wait. */
  function startBusy(pid: (session: ScriptedSession) => number): Promise<ScriptedServer> {
    return ScriptedServer.start(async (session) => {
      await session.next()
      session.send(message.loggedIn(session.number))
      let pings = 0
      for (let asked = await session.next(); asked; asked = await session.next()) {
        const sql = asked.body.toString().replaceAll('\0', '')
        if (asked.letter !== 'Q' || (sql === ';' && session.number === SIZE && ++pings > 1)) continue
        if (sql === ';') session.send(message.empty())
        else if (sql.includes('pg_postmaster_start_time'))
          session.send(message.row({ pid: String(pid(session)), backend_start: '1', server_start: '1', now: '1' }))
        else session.send(message.done('INSERT 0 1'))
      }
    })
  }

  const SIZE = 3

  test.each([
    { what: 'behind a pooler ends only its own connection', pid: () => 4711, areOthersKept: true },
    { what: 'straight to the server ends all', pid: ({ number }: ScriptedSession) => number, areOthersKept: false },
  ])('Holdfast: a ping that is late $what', async ({ pid, areOthersKept }) => {
    await using server = await startBusy(pid)
    const prePing = { idleMillis: 0, timeoutMillis: 100 }
    await using pool = pinging({ ...server.config(), max: SIZE, prePing, idleTimeoutMillis: 0 })
    for (let size = 0; size < SIZE; size++) await warmUp(pool, size + 1)
    const before = pool.inspect().map(({ id }) => id)
    await until(async () => {
      await pool.query('insert 1')
      return pool.inspect().every(({ id }) => id !== before[SIZE - 1])
    })
    const kept = pool.inspect().filter(({ id }) => before.includes(id))
    expect(kept).toHaveLength(areOthersKept ? SIZE - 1 : 0)
  })
})
