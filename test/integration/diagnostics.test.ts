import diagnostics_channel from 'node:diagnostics_channel'
import { readFile } from 'node:fs/promises'
import type { HostOptions, Pool, PoolEventMessage, PoolEventType } from '@holdfast/core'
import { describe, expect, vi } from 'vitest'
import { test } from '../faults/support/aimed-test.ts'
import { holdfast, warmUp } from '../faults/support/pools.ts'
import { rejection, settles, unattended } from '../faults/support/settling.ts'
import {
  type AimedProxy,
  type Cluster,
  type ClusterConfig,
  type FaultProxy,
  freePort,
  until,
} from '../support/index.ts'
import { message, ScriptedServer } from '../support/scripted-server.ts'

interface Servers {
  readonly cluster: Cluster
  readonly direct: ClusterConfig & { readonly application_name: string }
  readonly proxy: FaultProxy
  readonly proxied: ClusterConfig
  readonly aimed: AimedProxy
  readonly aimedAt: ClusterConfig
  /** Resolves when the event has been published. */
  readonly told: () => Promise<unknown>
}

type Provoke = (servers: Servers) => Promise<Pool>

async function usedOnce({ direct }: Servers, options: object = {}): Promise<Pool> {
  const pool = holdfast({ ...direct, name: direct.application_name, max: 1, ...options })
  await pool.query('select 1')
  return pool
}

/** How each event comes about, on a real server: complete, since the compiler says so. */
const PROVOCATIONS: Record<PoolEventType, Provoke> = {
  'connection-opened': usedOnce,
  'connection-leased': usedOnce,
  'connection-released': usedOnce,
  async 'connect-failed'({ direct }) {
    const pool = holdfast({ ...direct, name: direct.application_name, port: await freePort(), connectRetry: false })
    await rejection(pool.query('select 1'))
    return pool
  },
  async 'connection-pinged'(servers) {
    const pool = await usedOnce(servers)
    await pool.query('select 2')
    return pool
  },
  async 'acquire-failed'(servers) {
    const pool = await usedOnce(servers, { connectionTimeoutMillis: 300, prePing: false })
    await using _client = await pool.connect()
    await rejection(pool.connect())
    return pool
  },
  async 'connection-leak-suspected'(servers) {
    const pool = await usedOnce(servers, { leakDetectionMillis: 20 })
    await using _client = await pool.connect()
    await servers.told()
    return pool
  },
  async 'connection-reset'(servers) {
    const pool = await usedOnce(servers)
    const client = await pool.connect()
    await client.query('begin')
    client.release()
    return pool
  },
  'connection-declared-dead': silence,
  async 'watch-limited'(servers) {
    const { cluster } = servers
    await cluster.withAdmin((admin) => admin.query("alter role app set track_activities = 'off'"))
    const pool = await silence(servers)
    await cluster.withAdmin((admin) => admin.query('alter role app reset track_activities'))
    return pool
  },
  'connection-lost': loseOne,
  'connection-retired': loseOne,
  'connection-closed': loseOne,
  'pool-invalidated': loseOne,
  async 'pool-disposed'(servers) {
    const pool = await usedOnce(servers)
    await pool.dispose()
    return pool
  },
  async 'process-suspended'(servers) {
    const pool = await usedOnce(servers)
    const anHour = 3_600_000
    vi.setSystemTime(Date.now() + anHour)
    try {
      await pool.query('select 2')
    } finally {
      vi.useRealTimers()
    }
    return pool
  },
  async 'process-changed'(servers) {
    const pool = await usedOnce(servers)
    const { pid } = process
    Object.defineProperty(process, 'pid', { value: pid + 1 })
    try {
      await pool.query('select 2')
    } finally {
      Object.defineProperty(process, 'pid', { value: pid })
    }
    return pool
  },
  async 'transaction-left-open'(servers) {
    const pool = await usedOnce(servers)
    await pool.query('begin')
    return pool
  },
  async 'prepare-stopped'(servers) {
    const pool = await usedOnce(servers, { prepare: { threshold: 1 } })
    for (let time = 0; time < 3; time++) {
      await pool.query('select $1::int', [time])
      await pool.query("do $$ begin execute 'deallocate all'; end $$")
    }
    return pool
  },
  async 'budget-unanswered'({ cluster, direct, told }) {
    const [{ database } = { database: '' }] = await cluster.query<{ database: string }>(
      'select current_database() as database',
    )
    const name = direct.application_name
    const pool = holdfast({ ...direct, name, max: 1, budget: { total: 3, name } })
    await pool.query('select 1')
    await cluster.withAdmin(async (admin) => {
      await admin.query(`alter database ${database} connection limit 0`)
      await admin.query(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 2147483646",
      )
    })
    await told()
    await cluster.withAdmin((admin) => admin.query(`alter database ${database} connection limit -1`))
    return pool
  },
  'capacity-exceeded': (servers) => usedOnce(servers, { max: 10_000 }),
  async recovered({ proxy, proxied, direct, told }) {
    const pool = holdfast({ ...proxied, name: direct.application_name, max: 1 })
    proxy.refuse()
    const statement = pool.query('select 1')
    await until(() => pool.waitingCount === 1, { what: 'the statement to wait' })
    await proxy.heal()
    await Promise.all([statement, told()])
    return pool
  },
  async 'pool-overloaded'({ direct, told }) {
    const shedding = { targetMillis: 1, intervalMillis: 20 }
    const pool = holdfast({ ...direct, name: direct.application_name, max: 1, shedding })
    const holder = await pool.connect()
    const refused = rejection(pool.query('select 1'))
    await Promise.all([refused, told()])
    holder.release()
    return pool
  },
  async 'host-changed'({ proxy, proxied, direct }) {
    const pool = holdfast({ ...direct, name: direct.application_name, max: 1, hosts: [proxied, direct].map(hostOf) })
    await pool.query('select 1')
    proxy.refuse()
    proxy.cut('rst')
    await pool.query('select 1')
    await proxy.heal()
    return pool
  },
  async 'pooler-found'({ direct, told }) {
    await using server = await ScriptedServer.start(async (session) => {
      await session.next()
      session.send(message.error('FATAL', '08P01', 'server login failed: wrong password type'))
      session.close()
    })
    const pool = holdfast({ ...server.config(), name: direct.application_name })
    await Promise.all([rejection(pool.query('select 1')), told()])
    return pool
  },
  async 'session-needed'(servers) {
    const pool = await usedOnce(servers, { pooler: 'transaction' })
    await pool.query('listen news')
    return pool
  },
  async 'standby-refused-write'({ cluster, direct }) {
    const standby = await cluster.standby()
    const pool = holdfast({ ...direct, name: direct.application_name, hosts: [standby, cluster].map(hostOf) })
    await rejection(pool.query('create temp table refused ()'))
    await standby[Symbol.asyncDispose]()
    return pool
  },
  async 'former-primary'({ cluster, direct }) {
    const promoted = await cluster.standby()
    await promoted.promote()
    const pool = holdfast({
      ...direct,
      name: direct.application_name,
      hosts: [promoted, cluster].map(hostOf),
      targetSessionAttrs: 'read-write',
      connectionTimeoutMillis: 1500,
    })
    await pool.query('select 1')
    await promoted.stop('immediate')
    await rejection(pool.query('select 1'))
    await promoted[Symbol.asyncDispose]()
    return pool
  },
  async 'transaction-retried'(servers) {
    const pool = await usedOnce(servers)
    await pool.transaction(async (tx) => {
      if (tx.attempt === 1) await tx.query("do $$ begin raise sqlstate '40001'; end $$")
    })
    return pool
  },
  async 'statement-retried'({ aimed, aimedAt, direct }) {
    const pool = holdfast({ ...aimedAt, name: direct.application_name })
    aimed.aim({ statement: /^select 3/, point: 'on-reply' }, 'rst')
    await pool.query({ text: 'select 3', idempotent: true })
    return pool
  },
  async 'commit-resolved'({ aimed, aimedAt, direct }) {
    const pool = holdfast({ ...aimedAt, name: direct.application_name })
    aimed.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
    await pool.transaction((tx) => tx.query('insert into entry values ($1)', ['resolved']))
    return pool
  },
  async 'listening-lost'(servers) {
    const pool = await usedOnce(servers)
    await pool.listen('orders', () => {})
    await servers.cluster.query(`select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'`)
    await servers.told()
    return pool
  },
  async 'listening-again'(servers) {
    const pool = await usedOnce(servers)
    const again = new Promise((resolve) => {
      void pool.listen('orders', () => {}, { onReconnect: resolve }).then(() => pool.invalidate())
    })
    await again
    return pool
  },
  async 'session-fenced'({ proxy, proxied, direct, told }) {
    const pool = holdfast({ ...proxied, name: direct.application_name, query_timeout: 300 })
    const transaction = pool.transaction(
      async (tx) => {
        await tx.query('insert into entry values ($1)', ['fenced'])
        proxy.swallow({ connections: 'existing' })
        await tx.query('select 1')
      },
      { retry: false },
    )
    await rejection(transaction)
    await told()
    return pool
  },
  async 'pool-closed'(servers) {
    const pool = await usedOnce(servers)
    await pool.end()
    return pool
  },
}

function hostOf({ host, port }: { readonly host: string; readonly port: number }): HostOptions {
  return { host, port }
}

async function loseOne({ cluster, direct }: Servers): Promise<Pool> {
  const pool = holdfast({ ...direct, name: direct.application_name, max: 1 })
  await warmUp(pool, 1)
  await cluster.terminateBackends({ applicationName: direct.application_name })
  return pool
}

/** The network goes silent under a statement. */
async function silence({ proxy, proxied, direct, told }: Servers): Promise<Pool> {
  const pool = holdfast({ ...proxied, name: direct.application_name, max: 1, retryReads: false })
  const client = await pool.connect()
  proxy.swallow({ connections: 'existing', direction: 'to-client' })
  const statement = unattended(client.query('select 1'))
  await told()
  client.release(true)
  await settles(Promise.allSettled([statement]), 'the statement') // A plain read may have run again.
  return pool
}

/** What docs/observability.md says: the fields of each channel's messages, besides `type` and `pool`. */
async function documentedFields(): Promise<Map<string, string[]>> {
  const text = await readFile(new URL('../../docs/observability.md', import.meta.url), 'utf8')
  const rows = text.matchAll(/^\| `holdfast:([a-z-]+)` \|.*\|(.*)\|$/gm)
  // What is in brackets explains a field.
  return new Map(
    [...rows].map(([, type = '', fields = '']) => [
      type,
      [...fields.replaceAll(/\(.*?\)/g, '').matchAll(/`(\w+)`/g)].map(([, field = '']) => field),
    ]),
  )
}

describe('node:diagnostics_channel', () => {
  test.for(Object.entries(PROVOCATIONS) as [PoolEventType, Provoke][])(
    'the channel holdfast:%s has the documented properties',
    async ([type, provoke], { cluster, direct, proxy, proxied, aimed, aimedAt }) => {
      const heard: PoolEventMessage[] = []
      const hear = (message: unknown): void => {
        const told = message as PoolEventMessage
        if (told.pool.name === direct.application_name) heard.push(told)
      }
      diagnostics_channel.subscribe(`holdfast:${type}`, hear)
      const told = (): Promise<PoolEventMessage> => until(() => heard[0], { what: `a message on holdfast:${type}` })
      const pool = unattended(provoke({ cluster, direct, proxy, proxied, aimed, aimedAt, told }))
      try {
        const event = await told()
        expect(event).toMatchObject({ type, pool: { name: direct.application_name } })
        const fields = Object.keys(event).filter((key) => key !== 'type' && key !== 'pool')
        expect(fields.toSorted()).toEqual((await documentedFields()).get(type)?.toSorted())
        if ('connection' in event) expect(event.connection.backendPid).toBeGreaterThan(0)
      } finally {
        diagnostics_channel.unsubscribe(`holdfast:${type}`, hear)
        const opened = await pool
        if (!opened.ending) await opened.end()
      }
    },
  )

  test('a statement that runs again in a stale session is published with the reason', async ({ cluster, direct }) => {
    const heard: unknown[] = []
    const hear = (message: unknown): number => heard.push(message)
    diagnostics_channel.subscribe('holdfast:statement-retried', hear)
    try {
      await using pool = holdfast({ ...direct, max: 1 })
      await cluster.withAdmin((admin) => admin.query('create table stale (id int)'))
      await cluster.withAdmin((admin) => admin.query('grant select on stale to app'))
      const statement = { name: 'all', text: 'select * from stale' }
      await pool.query(statement)
      await cluster.withAdmin((admin) => admin.query('alter table stale add column more int'))
      await pool.query(statement)
      expect(heard).toMatchObject([{ reason: 'stale-session', attempt: 2, error: { code: '0A000' }, pausedMillis: 0 }])
    } finally {
      diagnostics_channel.unsubscribe('holdfast:statement-retried', hear)
    }
  })

  test('the documentation has all channels, and no others', async () => {
    expect([...(await documentedFields()).keys()].toSorted()).toEqual(Object.keys(PROVOCATIONS).toSorted())
  })
})
