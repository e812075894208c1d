import type { EventEmitter } from 'node:events'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { holdfast } from './support/pools.ts'
import { Program } from './support/program.ts'

const CHECK = { clientConnectionCheckMillis: 100 }

async function isBusy(cluster: Cluster, applicationName: string): Promise<boolean> {
  return (await cluster.countSessions({ applicationName, state: 'active' })) === 1
}

/** What a session was started with. */
async function settings(pool: { query(text: string): Promise<{ rows: unknown[] }> }): Promise<unknown> {
  const { rows } = await pool.query(
    "select current_setting('client_connection_check_interval') as check, current_setting('lock_timeout') as lock",
  )
  return rows[0]
}

describe('the process is killed with a statement running', () => {
  test("a killed process' session ends with clientConnectionCheckMillis only", async ({ cluster, direct }) => {
    const [without, within] = [`${direct.application_name}-without`, `${direct.application_name}-with`]
    await using runsOn = Program.start('run-endless-statement', {
      ...direct,
      application_name: without,
      clientConnectionCheckMillis: 0,
    })
    await using ends = Program.start('run-endless-statement', { ...direct, application_name: within, ...CHECK })
    await until(async () => (await isBusy(cluster, without)) && (await isBusy(cluster, within)))
    await Promise.all([runsOn.kill(), ends.kill()])
    await until(async () => (await cluster.countSessions({ applicationName: within })) === 0)
    expect(await isBusy(cluster, without)).toBe(true)
    await cluster.terminateBackends({ applicationName: without })
  })
})

describe('clientConnectionCheckMillis', () => {
  test('clientConnectionCheckMillis is 10 s by default, in a session that leads straight to its server', async ({
    direct,
  }) => {
    await using pool = holdfast(direct)
    expect(await settings(pool)).toEqual({ check: '10s', lock: '0' })
    await using off = holdfast({ ...direct, clientConnectionCheckMillis: 0 })
    expect(await settings(off)).toEqual({ check: '0', lock: '0' })
    await using unwatched = holdfast({ ...direct, watch: false })
    expect(await settings(unwatched)).toEqual({ check: '0', lock: '0' })
    await using own = holdfast({ ...direct, options: '-c client_connection_check_interval=3s' })
    expect(await settings(own)).toEqual({ check: '3s', lock: '0' })
  })

  test('clientConnectionCheckMillis is off by default behind a pooler, which names another process', async ({
    direct,
  }) => {
    class Pooled extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super(config)
        const { connection } = this as unknown as { connection: EventEmitter }
        const emit = connection.emit.bind(connection)
        connection.emit = (event, message, ...more) =>
          emit(event, event === 'backendKeyData' ? { ...message, processID: 1 } : message, ...more)
      }
    }
    await using pool = holdfast({ ...direct, Client: Pooled })
    expect(await settings(pool)).toEqual({ check: '0', lock: '0' })
  })

  test("clientConnectionCheckMillis gives way by default: the server's setting holds", async ({ cluster, direct }) => {
    await cluster.setting('client_connection_check_interval', '7s')
    try {
      await using pool = holdfast(direct)
      expect(await settings(pool)).toEqual({ check: '7s', lock: '0' })
      await using own = holdfast({ ...direct, ...CHECK })
      expect(await settings(own)).toEqual({ check: '100ms', lock: '0' })
    } finally {
      await cluster.resetSetting('client_connection_check_interval')
    }
  })

  test('clientConnectionCheckMillis leaves the start-up options of the user alone', async ({ direct }) => {
    await using pool = holdfast({ ...direct, ...CHECK, options: '-c lock_timeout=1h' })
    expect(await settings(pool)).toEqual({ check: '100ms', lock: '1h' })
  })

  test('clientConnectionCheckMillis leaves the options of a connection string alone', async ({ cluster, direct }) => {
    const { ssl, host, port, user, password, database } = cluster.config()
    const string = `postgres://${user}:${password}@${host}:${port}/${database}?options=${encodeURIComponent('-c lock_timeout=1h')}`
    await using pool = holdfast({
      connectionString: string,
      ...(ssl && { ssl }),
      ...CHECK,
      application_name: direct.application_name,
    })
    expect(await settings(pool)).toEqual({ check: '100ms', lock: '1h' })
  })

  test('clientConnectionCheckMillis leaves those of PGOPTIONS alone', async ({ direct }) => {
    process.env.PGOPTIONS = '-c lock_timeout=1h'
    try {
      await using pool = holdfast({ ...direct, ...CHECK })
      expect(await settings(pool)).toEqual({ check: '100ms', lock: '1h' })
    } finally {
      delete process.env.PGOPTIONS
    }
  })

  test.for(['session', 'discard'] as const)(
    "clientConnectionCheckMillis outlives resetOnReturn: '%s'",
    async (resetOnReturn, { direct }) => {
      await using pool = holdfast({ ...direct, ...CHECK, max: 1, resetOnReturn })
      await pool.query("set client_connection_check_interval = 0; set lock_timeout = '1h'")
      expect(await settings(pool)).toEqual({ check: '100ms', lock: '0' })
    },
  )
})
