import net from 'node:net'
import { ConnectError, type PoolOptions } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { countingClient } from './support/counting-client.ts'
import { test } from './support/fault-test.ts'
import { holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

interface Refusal {
  readonly what: string
  readonly options: PoolOptions & pg.PoolConfig
  readonly code: string
}

const UNKNOWN_HOST = 'db.invalid'

/** A socket whose resolver knows no host, whatever the machine's own resolver does without a network. */
class UnresolvingSocket extends net.Socket {
  // biome-ignore lint/suspicious/noExplicitAny: pg calls it with a port and a host.
  override connect(port: any, host?: any): this {
    const lookup: net.LookupFunction = (name, _, callback) => {
      callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND', hostname: name }), '')
    }
    return super.connect({ port, host, lookup })
  }
}

const REFUSALS: readonly Refusal[] = [
  { what: 'a wrong password', options: { password: 'wrong' }, code: '28P01' },
  { what: 'an unknown user', options: { user: 'nobody' }, code: '28P01' },
  { what: 'an unknown database', options: { database: 'nowhere' }, code: '3D000' },
  { what: 'a certificate that nobody vouches for', options: { ssl: true }, code: 'SELF_SIGNED_CERT_IN_CHAIN' },
  {
    what: 'an unknown host',
    options: { host: UNKNOWN_HOST, stream: () => new UnresolvingSocket() },
    code: 'ENOTFOUND',
  },
]

describe.each(WAYS)('refused for good, through $way', ({ run }) => {
  test.for(REFUSALS)(
    'stock pg.Pool: a refusal for good does not say which server refused: $what',
    async ({ options, code }, { proxied }) => {
      await using pool = new StockPool({ ...proxied, ...options })
      const error = await rejection(run(pool, 'select 1'))
      expect(error).toMatchObject({ code })
      expect(error.message).not.toContain(`:${proxied.port}`)
    },
  )

  test.for(REFUSALS)(
    'Holdfast: a refusal for good is told at once, and never tried again: $what',
    async ({ options, code }, { proxied }) => {
      const { Client, attempts } = countingClient()
      await using pool = holdfast({ ...proxied, ...options, Client, connectionTimeoutMillis: 0 })
      const error = await rejection(run(pool, 'select 1'))
      expect(error).toBeInstanceOf(ConnectError)
      expect(error).toMatchObject({ code, cause: { code } })
      expect(error.message).toContain(`${options.host ?? proxied.host}:${proxied.port}`)
      expect(error.message).not.toContain(proxied.password)
      expect(attempts.started).toBe(1)
      expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([0, 0, 0])
    },
  )

  test('Holdfast: every waiter rejects at once after a refusal for good', async ({ proxied }) => {
    await using pool = holdfast({ ...proxied, password: 'wrong', max: 2, connectionTimeoutMillis: 0 })
    const errors = await Promise.all(Array.from({ length: 10 }, () => rejection(run(pool, 'select 1'))))
    for (const error of errors) expect(error).toMatchObject({ name: 'ConnectError', code: '28P01' })
    expect(pool.waitingCount).toBe(0)
    await until(() => pool.totalCount === 0, { what: 'the other attempts to end' })
  })
})

describe('more connections are refused for good while others work', () => {
  const CALLERS = 20

  /** A role whose password was changed when two of its connections were open. */
  async function changedPassword(cluster: Cluster, pool: pg.Pool): Promise<void> {
    await warmUp(pool, 2)
    await cluster.query("alter role passing password 'changed'")
  }

  const withRole = test.extend('passing', async ({ cluster, direct }, { onCleanup }) => {
    await cluster.query("create role passing login password 'passing'")
    onCleanup(async () => void (await cluster.query('drop role passing')))
    return { ...direct, user: 'passing', password: 'passing' }
  })

  const ask = (pool: pg.Pool): Promise<PromiseSettledResult<unknown>[]> =>
    Promise.allSettled(Array.from({ length: CALLERS }, () => pool.query('select pg_sleep(0.02)')))

  withRole(
    'stock pg.Pool: a refused extra connection fails its caller, although others work',
    async ({ cluster, passing }) => {
      await using pool = new StockPool({ ...passing, max: 10 })
      await changedPassword(cluster, pool)
      const failed = (await ask(pool)).filter(({ status }) => status === 'rejected')
      expect(failed.length).toBeGreaterThan(0)
    },
  )

  withRole(
    'Holdfast: the connections that work serve every caller when more are refused, and one warning says so',
    async ({ cluster, passing }) => {
      const warnings: string[] = []
      const logger = { ...console, warn: (text: string) => void warnings.push(text) }
      await using pool = holdfast({ ...passing, max: 10, logger })
      await changedPassword(cluster, pool)
      const failed = (await settles(ask(pool), 'the callers')).filter(({ status }) => status === 'rejected')
      expect(failed).toEqual([])
      expect(warnings).toEqual([expect.stringMatching(/HOLDFAST_CONNECT_FAILED.*password authentication failed/)])
    },
  )

  withRole(
    'Holdfast: once no connection works any more, a refusal for good rejects every caller',
    async ({ cluster, passing }) => {
      await using pool = holdfast({ ...passing, max: 2 })
      await changedPassword(cluster, pool)
      await cluster.terminateBackends({ applicationName: passing.application_name })
      await until(() => pool.totalCount === 0)
      expect(await rejection(pool.query('select 1'))).toMatchObject({ name: 'ConnectError', code: '28P01' })
    },
  )
})
