import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Cluster, ClusterError, until } from './index.ts'
import { connect } from './test-client.ts'

let cluster: Cluster

beforeAll(async () => {
  cluster = await Cluster.start()
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})
beforeEach(async () => {
  // Sessions of the test before may still be on their way out.
  await until(async () => (await cluster.countSessions()) === 0)
})

describe('logging in', () => {
  const who = `select system_user as "user", (select version from pg_stat_ssl where pid = pg_backend_pid()) as tls`

  test('logging in goes over verified TLS, with SCRAM', async () => {
    await using client = await connect(cluster.config())
    expect((await client.query(who)).rows).toEqual([{ user: 'scram-sha-256:app', tls: 'TLSv1.3' }])
  })

  test('logging in works with the URL as well', async () => {
    await using client = await connect({ connectionString: cluster.url })
    expect((await client.query(who)).rows).toEqual([{ user: 'scram-sha-256:app', tls: 'TLSv1.3' }])
  })

  test('logging in fails without TLS, with another authority and with a wrong password', async () => {
    await expect(connect(cluster.config({ ssl: false }))).rejects.toMatchObject({ code: '28000' })
    await expect(connect(cluster.config({ ssl: { rejectUnauthorized: true } }))).rejects.toMatchObject({
      code: 'SELF_SIGNED_CERT_IN_CHAIN',
    })
    await expect(connect(cluster.config({ password: 'wrong' }))).rejects.toMatchObject({ code: '28P01' })
  })

  test('logging in is done as an ordinary role that owns the database', async () => {
    await using client = await connect(cluster.config())
    await client.query('create table owned (id int); drop table owned')
    const { rows } = await client.query('select rolsuper from pg_roles where rolname = current_user')
    expect(rows).toEqual([{ rolsuper: false }])
  })
})

describe('options', () => {
  test('the options of a cluster leave TLS away, add a Unix socket, change settings', async () => {
    await using plain = await Cluster.start({ tls: false, unixSocket: true, settings: { max_connections: 17 } })
    expect(plain.ca).toBeUndefined()
    await using tcp = await connect(plain.config())
    expect((await tcp.query('show max_connections')).rows).toEqual([{ max_connections: '17' }])
    await using socket = await connect(plain.config({ host: plain.socketDirectory }))
    expect((await socket.query('select inet_client_addr() as address')).rows).toEqual([{ address: null }])
    await using url = await connect({ connectionString: plain.url })
    expect((await url.query('show ssl')).rows).toEqual([{ ssl: 'off' }])
  })

  test("the options of a cluster can't lock it out of its own server", async () => {
    await using strict = await Cluster.start({
      hba: 'hostssl all all 127.0.0.1/32 reject',
      settings: { max_connections: 5 },
    })
    await expect(connect(strict.config())).rejects.toMatchObject({ code: '28000' })
    expect(await strict.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  test('options of a cluster that Postgres refuses reject with its message, and leave nothing behind', async () => {
    await expect(Cluster.start({ settings: { shared_buffers: 'lots' } })).rejects.toMatchObject({
      code: 'CLUSTER_START_FAILED',
      message: expect.stringContaining('invalid value for parameter "shared_buffers"'),
    })
  })

  test('the options of a cluster are needed for the Unix socket', () => {
    expect(() => cluster.socketDirectory).toThrow(ClusterError)
  })
})

describe('sessions', () => {
  test('the sessions of a cluster are those of clients, without the one that asks', async () => {
    expect(await cluster.sessions()).toEqual([])
    await using client = await connect(cluster.config({ application_name: 'one' }))
    await using _other = await connect(cluster.config({ application_name: 'other' }))
    const backend = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid
    expect(await cluster.countSessions()).toBe(2)
    expect(await cluster.sessions({ applicationName: 'one' })).toMatchObject([
      { pid: backend, user: 'app', state: 'idle', query: 'select pg_backend_pid() as pid', waitEvent: 'ClientRead' },
    ])
  })

  test('the sessions of a cluster are still counted when the server takes no more connections of applications', async () => {
    await using small = await Cluster.start({ settings: { max_connections: 5 } })
    await using _one = await connect(small.config())
    await using _two = await connect(small.config())
    await expect(connect(small.config())).rejects.toMatchObject({ code: '53300' })
    expect(await small.countSessions()).toBe(2)
  })

  test('the sessions of a cluster are ended by state and by name; the client gets 57P01', async () => {
    await using idle = await connect(cluster.config({ application_name: 'idle' }))
    await using inTransaction = await connect(cluster.config({ application_name: 'busy' }))
    await using spared = await connect(cluster.config({ application_name: 'busy' }))
    await inTransaction.query('begin')
    await spared.query('begin')
    const { pid: exceptPid } = (await spared.query('select pg_backend_pid() as pid')).rows[0]
    expect(await cluster.terminateBackends({ applicationName: 'busy', state: 'idle' })).toBe(0)
    expect(await cluster.terminateBackends({ state: 'idle in transaction', exceptPid })).toBe(1)
    await until(() => inTransaction.errors[0])
    expect(inTransaction.errors[0]).toMatchObject({ code: '57P01' })
    await idle.query('select 1')
    await spared.query('commit')
    expect(await cluster.terminateBackends()).toBe(2)
    await until(async () => (await cluster.countSessions()) === 0)
  })
})

describe('settings', () => {
  test('the settings of a cluster change while the server runs: idle_session_timeout closes sessions with 57P05', async () => {
    await cluster.setting('idle_session_timeout', '50ms')
    await using client = await connect(cluster.config())
    await until(() => client.errors[0])
    expect(client.errors[0]).toMatchObject({ code: '57P05' })
    await cluster.resetSetting('idle_session_timeout')
    expect(await cluster.query('show idle_session_timeout')).toEqual([{ idle_session_timeout: '0' }])
  })

  test('the settings of a cluster must have a name, and one that Postgres knows', async () => {
    await expect(cluster.setting('work_mem = 1; drop', 1)).rejects.toMatchObject({ code: 'CLUSTER_INVALID_SETTING' })
    await expect(cluster.setting('no_such_setting', 1)).rejects.toMatchObject({ code: '42704' })
  })
})

describe('stopping', () => {
  test('stopping a cluster ends sessions with 57P01; a restart keeps the port and the data', async () => {
    await using restarted = await Cluster.start()
    const { port, pid } = restarted
    await using client = await connect(restarted.config())
    await client.query('create table kept as select 42 as answer')
    await restarted.restart('fast')
    await until(() => client.errors[0])
    expect(client.errors[0]).toMatchObject({ code: '57P01' })
    expect(restarted.port).toBe(port)
    expect(restarted.pid).not.toBe(pid)
    for (const mode of ['immediate', 'kill'] as const) {
      await restarted.restart(mode)
      expect(await restarted.query('select answer from kept')).toEqual([{ answer: 42 }])
    }
  })

  test('stopping a cluster makes connects fail with ECONNREFUSED until the next start', async () => {
    await using stopped = await Cluster.start()
    await stopped.stop()
    await stopped.stop()
    expect(stopped.pid).toBeUndefined()
    await expect(connect(stopped.config())).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await stopped.start()
    await expect(stopped.start()).rejects.toMatchObject({ code: 'CLUSTER_ALREADY_RUNNING' })
    expect(await stopped.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  test('stopping a cluster for good removes its files, whatever state it was in', async () => {
    for (const bringInto of ['freeze', 'stop', 'kill'] as const) {
      const gone = await Cluster.start()
      if (bringInto === 'kill') await gone.stop('kill')
      else await gone[bringInto]()
      await gone[Symbol.asyncDispose]()
      expect(fs.existsSync(gone.data)).toBe(false)
      await expect(gone.start()).rejects.toMatchObject({ code: 'CLUSTER_DISPOSED' })
    }
  })
})

describe('freezing', () => {
  test('freezing a cluster makes queries and log-ins hang, while TCP connects; thawing completes them', async () => {
    await using patient = await connect(cluster.config())
    await using impatient = await connect(cluster.config({ query_timeout: 100 }))
    await cluster.freeze()
    const pending = patient.query('select 1 as one')
    await expect(impatient.query('select 1')).rejects.toThrow('Query read timeout')
    await expect(connect(cluster.config({ connectionTimeoutMillis: 100 }))).rejects.toThrow('timeout expired')
    const socket = net.connect(cluster.port, cluster.host)
    await once(socket, 'connect')
    socket.destroy()
    await cluster.thaw()
    expect((await pending).rows).toEqual([{ one: 1 }])
    expect([...patient.errors, ...impatient.errors]).toEqual([])
  })

  test('freezing a cluster can be done to a single backend; the others go on', async () => {
    await using frozen = await connect(cluster.config())
    await using other = await connect(cluster.config())
    const { pid } = (await frozen.query('select pg_backend_pid() as pid')).rows[0]
    await cluster.freezeBackend(pid)
    let isSettled = false
    const pending = frozen.query('select 1 as one').finally(() => {
      isSettled = true
    })
    await other.query('select pg_sleep(0.05)')
    expect(isSettled).toBe(false)
    await cluster.thawBackend(pid)
    expect((await pending).rows).toEqual([{ one: 1 }])
  })

  test('freezing a cluster is refused for processes that are not backends of this server', async () => {
    await expect(cluster.freezeBackend(process.pid)).rejects.toMatchObject({ code: 'CLUSTER_FOREIGN_PROCESS' })
    await expect(cluster.thawBackend(process.pid)).rejects.toMatchObject({ code: 'CLUSTER_FOREIGN_PROCESS' })
  })

  test('freezing a cluster does not keep a server from being stopped', async () => {
    await using stopped = await Cluster.start()
    await using client = await connect(stopped.config())
    await stopped.freeze()
    await stopped.restart('fast')
    await until(() => client.errors[0])
    expect(client.errors[0]).toMatchObject({ code: '57P01' })
    await stopped.stop()
    await expect(stopped.freeze()).rejects.toMatchObject({ code: 'CLUSTER_NOT_RUNNING' })
  })
})

test('a standby follows, and takes over when it is promoted', async () => {
  await using primary = await Cluster.start()
  await using standby = await primary.standby()
  await primary.query('create table followed as select 42 as answer')
  await until(async () => (await standby.query('select answer from followed'))[0], { what: 'the standby to follow' })
  await using client = await connect(standby.config())
  await expect(client.query('create table refused ()')).rejects.toMatchObject({ code: '25006' })
  await primary.stop('immediate')
  await standby.promote()
  expect(await standby.query('select pg_is_in_recovery() as standby')).toEqual([{ standby: false }])
})

test('the configuration of a cluster takes what a pool wants to know besides', async () => {
  const pool = new pg.Pool(cluster.config({ max: 2 }))
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await pool.end()
})
