import os from 'node:os'
import type pg from 'pg'
import { afterEach, describe, expect, vi } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { Cluster, until } from '../support/index.ts'
import { LIBRARIES } from './support/libraries.ts'
import { runScript } from './support/run-script.ts'

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('local', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start({ tls: false, unixSocket: true })
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

afterEach(() => {
  vi.unstubAllEnvs()
})

const WHO = 'select current_user as who, current_database() as where'

/** What the server knows of its client by the name of a setting. */
async function setting(pool: pg.Pool, name: string): Promise<unknown> {
  return (await pool.query('select current_setting($1) as it', [name])).rows[0]?.it
}

/** https://node-postgres.com/features/connecting */
describe.each(LIBRARIES)('$library: environment variables', ({ library, open }) => {
  test('environment variables are enough for a script that gives no options at all', async ({ local }) => {
    const { host, port, user, password, database } = local.config()
    const environment = {
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: database,
    }
    expect(await runScript({ library, ends: true }, environment)).toEqual([
      JSON.stringify([{ who: user, where: database }]),
    ])
  })

  test('environment variables fill in what the options leave open', async ({ local }) => {
    const { host, port, user, password, database } = local.config()
    vi.stubEnv('PGPORT', String(port))
    vi.stubEnv('PGUSER', 'nobody')
    vi.stubEnv('PGPASSWORD', password)
    vi.stubEnv('PGDATABASE', database)
    vi.stubEnv('PGAPPNAME', 'by variable')
    vi.stubEnv('PGOPTIONS', '-c search_path=by_variable')
    await using pool = open({ host, user })
    expect((await pool.query(WHO)).rows).toEqual([{ who: user, where: database }])
    expect(await setting(pool, 'application_name')).toBe('by variable')
    expect(await setting(pool, 'search_path')).toBe('by_variable')
  })

  test('environment variables count as they stand when a client is opened', async ({ local }) => {
    const { password, ...config } = local.config()
    await using pool = open({ ...config, max: 1 })
    vi.stubEnv('PGPASSWORD', password)
    expect((await pool.query(WHO)).rows).toHaveLength(1)
  })

  test('environment variables say whether to use TLS', async ({ cluster, local }) => {
    vi.stubEnv('PGSSLMODE', 'no-verify')
    const { ssl, ...config } = cluster.config()
    await using pool = open(config)
    expect((await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')).rows).toEqual([{ ssl: true }])
    vi.stubEnv('PGSSLMODE', 'disable')
    await using plain = open(local.config())
    expect(await setting(plain, 'ssl')).toBe('off')
  })
})

describe.each(LIBRARIES)('$library: a password', ({ open }) => {
  const KINDS = [
    { kind: 'a function', as: (password: string) => () => password },
    { kind: 'an async function', as: (password: string) => async () => password },
  ]

  test.for(KINDS)('a password may be $kind, asked once per client', async ({ as }, { direct }) => {
    let asked = 0
    const password = as(direct.password)
    const counted = (): string | Promise<string> => {
      asked++
      return password()
    }
    await using pool = open({ ...direct, max: 2, password: counted })
    await Promise.all([pool.query('select pg_sleep(0.1)'), pool.query('select pg_sleep(0.1)')])
    await pool.query('select 1')
    expect([asked, pool.totalCount]).toEqual([2, 2])
  })

  test('a function for the password gets the connection parameters', async ({ direct }) => {
    const given: unknown[] = []
    const password = (parameters: unknown): string => {
      given.push(parameters)
      return direct.password
    }
    await using pool = open({ ...direct, password: password as () => string })
    await pool.query('select 1')
    expect(given).toMatchObject([{ user: direct.user, host: direct.host, database: direct.database }])
  })

  const FAILURES = [
    {
      how: 'throws',
      password: () => {
        throw new Error('no password today')
      },
    },
    { how: 'rejects', password: () => Promise.reject(new Error('no password today')) },
  ]

  test.for(FAILURES)(
    'a function for the password which $how fails the caller, not the pool',
    async ({ password }, { direct }) => {
      let isBroken = true
      await using pool = open({ ...direct, max: 1, password: () => (isBroken ? password() : direct.password) })
      expect((await rejection(pool.query('select 1'))).message).toContain('no password today')
      expect((await rejection(pool.connect())).message).toContain('no password today')
      isBroken = false
      expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    },
  )

  test('a password that is not a string is refused with the reason', async ({ direct }) => {
    await using pool = open({ ...direct, password: (() => 12345) as never })
    expect((await rejection(pool.query('select 1'))).message).toContain('Password must be a string')
  })

  test('a password that is wrong is refused with the code of the server', async ({ direct }) => {
    await using pool = open({ ...direct, password: 'wrong' })
    for (const start of [() => pool.query('select 1'), () => pool.connect()]) {
      const error = await rejection(start())
      expect(error).toMatchObject({ code: '28P01' })
      expect(error.message).toContain('password authentication failed')
    }
    await until(() => pool.totalCount === 0)
  })
})

describe.each(LIBRARIES)('$library: a Unix socket', ({ open }) => {
  test('a Unix socket is used when the host is a path', async ({ local }) => {
    await using pool = open(local.config({ host: local.socketDirectory }))
    expect((await pool.query('select inet_client_addr() as address')).rows).toEqual([{ address: null }])
  })

  test('a Unix socket can be said in a connection string, in both ways', async ({ local }) => {
    const { user, password, database } = local.config()
    const path = encodeURIComponent(local.socketDirectory)
    const strings = [
      `postgres://${user}:${password}@${path}:${local.port}/${database}`,
      `postgres:///${database}?host=${path}&user=${user}&password=${password}&port=${local.port}`,
    ]
    for (const connectionString of strings) {
      await using pool = open({ connectionString })
      expect((await pool.query('select inet_client_addr() as address')).rows).toEqual([{ address: null }])
    }
  })
})

describe.each(LIBRARIES)('$library: a connection string', ({ open }) => {
  test('a connection string says everything about the session', async ({ local }) => {
    const parameters = new URLSearchParams({
      application_name: 'by string',
      options: '-c search_path=by_string',
      statement_timeout: '12345',
      lock_timeout: '2345',
      idle_in_transaction_session_timeout: '3456',
    })
    await using pool = open({ connectionString: `${local.url}?${parameters}` })
    expect(await setting(pool, 'application_name')).toBe('by string')
    expect(await setting(pool, 'search_path')).toBe('by_string')
    expect(await setting(pool, 'statement_timeout')).toBe('12345ms')
    expect(await setting(pool, 'lock_timeout')).toBe('2345ms')
    expect(await setting(pool, 'idle_in_transaction_session_timeout')).toBe('3456ms')
  })

  test('a connection string wins over the options beside it, where it says something', async ({ local }) => {
    const connectionString = local.url
    await using pool = open({ connectionString, user: 'nobody', password: 'none', application_name: 'beside' })
    expect((await pool.query(WHO)).rows).toEqual([{ who: 'app', where: local.config().database }])
    expect(await setting(pool, 'application_name')).toBe('beside')
  })

  test('a connection string may hold a query_timeout', async ({ local }) => {
    await using pool = open({ connectionString: `${local.url}?query_timeout=200`, max: 1 })
    const error = await rejection(pool.query("select pg_sleep('infinity')"))
    expect(error.message).toContain('Query read timeout')
    await local.terminateBackends()
  })

  test('a connection string may hold characters that need an escape', async ({ local }) => {
    await local.query(`create role "a@b:c/d" login password 'p@ss:w/rd#%'`)
    const { host, port, database } = local.config()
    const who = encodeURIComponent('a@b:c/d')
    const connectionString = `postgresql://${who}:${encodeURIComponent('p@ss:w/rd#%')}@${host}:${port}/${database}`
    await using pool = open({ connectionString })
    expect((await pool.query(WHO)).rows).toEqual([{ who: 'a@b:c/d', where: database }])
    await pool.end()
    await local.query('drop role "a@b:c/d"')
  })

  test('a connection string that leads nowhere fails with the errno', async ({ local }) => {
    await using pool = open({ connectionString: local.url.replace(/:\d+\//, ':1/'), connectionTimeoutMillis: 300 })
    const error = await rejection(pool.query('select 1'))
    expect(JSON.stringify([error.code, error.message])).toContain('ECONNREFUSED')
  })
})

describe.each(LIBRARIES)('$library: the name of the application', ({ open }) => {
  test('the name of the application has a fallback', async ({ local }) => {
    await using pool = open(local.config({ fallback_application_name: 'fallback' }))
    expect(await setting(pool, 'application_name')).toBe('fallback')
    await using named = open(local.config({ fallback_application_name: 'fallback', application_name: 'named' }))
    expect(await setting(named, 'application_name')).toBe('named')
  })
})

describe.each(LIBRARIES)('$library: a script', ({ library }) => {
  test('a script ends at once when its clients are idle, with allowExitOnIdle', async ({ local }) => {
    const options = local.config({ allowExitOnIdle: true, idleTimeoutMillis: 0 })
    expect(await runScript({ library, options, ends: false })).toHaveLength(1)
  })

  test('a script ends when its idle clients have been closed, without allowExitOnIdle', async ({ local }) => {
    const options = local.config({ idleTimeoutMillis: 100 })
    expect(await runScript({ library, options, ends: false })).toHaveLength(1)
  })

  test('a script whose callback throws gets the exception, and its pool goes on', async ({ local }) => {
    const lines = await runScript({ library, options: local.config({ max: 1 }), ends: true, throwsInCallback: true })
    expect(lines.slice(1).toSorted()).toEqual(['goes on', 'uncaught: of the callback'])
  })

  test('a script takes the name of its user for that of the role and of the database', async ({ local }) => {
    const { host, port, password } = local.config()
    const { username } = os.userInfo()
    const environment = { USER: username, PGHOST: host, PGPORT: String(port), PGPASSWORD: password }
    const [line] = await runScript({ library, ends: true }, environment)
    expect(line).toContain(`password authentication failed for user "${username}"`)
  })
})
