import { describe, expect } from 'vitest'
import type { Cluster } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, WAYS } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const OPEN = (id: string): string => `begin; insert into entry values ('${id}')`
const FAILED = (id: string): string => `begin; insert into entry values ('${id}'); select 1 / 0`

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

describe.each(WAYS)('returned with an open transaction, through $way', ({ way, run }) => {
  test('stock pg.Pool: an acknowledged write is lost with the transaction that a stranger has left open', async ({
    cluster,
    direct,
  }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    await run(pool, OPEN(`open, stock, ${way}`))
    await run(pool, 'insert into entry values ($1)', [`next, stock, ${way}`])
    expect(await isWritten(cluster, `next, stock, ${way}`)).toBe(false)
  })

  for (const policy of ['rollback', 'commit'] as const) {
    test(`Holdfast: ${policy} of an open transaction comes before the next lease`, async ({ cluster, direct }) => {
      const [open, next] = [`open, ${policy}, ${way}`, `next, ${policy}, ${way}`]
      await using pool = holdfast({ ...direct, max: 1, resetOnReturn: policy })
      const pid = await backendPid(pool)
      const first = run(pool, OPEN(open))
      // Waits before the first connection is released.
      const second = run(pool, 'insert into entry values ($1)', [next])
      await settles(Promise.all([first, second]), 'both statements')
      expect(await isWritten(cluster, open)).toBe(policy === 'commit')
      expect(await isWritten(cluster, next)).toBe(true)
      expect(await backendPid(pool)).toBe(pid)
      await expectHealthy(pool, cluster, direct.application_name)
    })
  }

  test("Holdfast: 'none' sends nothing to a transaction, and closes the connection", async ({ cluster, direct }) => {
    const [open, next] = [`open, none, ${way}`, `next, none, ${way}`]
    await using pool = holdfast({ ...direct, max: 1, resetOnReturn: 'none' })
    const pid = await backendPid(pool)
    await run(pool, OPEN(open))
    await settles(run(pool, 'insert into entry values ($1)', [next]), 'the next statement')
    expect(await isWritten(cluster, open)).toBe(false)
    expect(await isWritten(cluster, next)).toBe(true)
    expect(await backendPid(pool)).not.toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe.each(WAYS)('returned with a failed transaction, through $way', ({ way, run }) => {
  test('stock pg.Pool: the next caller inherits a failed transaction, unless it is thrown away', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    await rejection(run(pool, FAILED(`failed, stock, ${way}`)))
    const next = run(pool, 'select 1')
    if (way === 'pool.connect') expect(await rejection(next)).toMatchObject({ code: '25P02' })
    else expect(await next).toBeDefined()
  })

  for (const policy of ['rollback', 'commit', 'none'] as const) {
    test(`Holdfast: no later lease inherits a failed transaction (${policy})`, async ({ cluster, direct }) => {
      const failed = `failed, ${policy}, ${way}`
      await using pool = holdfast({ ...direct, max: 1, resetOnReturn: policy })
      const pid = await backendPid(pool)
      expect(await rejection(run(pool, FAILED(failed)))).toMatchObject({ code: '22012' })
      await settles(run(pool, 'select 1'), 'the next statement')
      expect(await isWritten(cluster, failed)).toBe(false)
      expect((await backendPid(pool)) === pid).toBe(policy !== 'none')
      await expectHealthy(pool, cluster, direct.application_name)
    })
  }
})

describe('returned with statements that still run', () => {
  test('Holdfast: a release waits for running statements, and rolls them back', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const pid = await backendPid(client)
    const running = [client.query('begin'), client.query("insert into entry values ('unawaited')")]
    client.release()
    expect(await backendPid(pool)).toBe(pid)
    await Promise.all(running)
    expect(await isWritten(cluster, 'unawaited')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a release closes the connection if its statements run for too long', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, closeTimeoutMillis: 200 })
    const client = await pool.connect()
    const pid = await backendPid(client)
    const running = rejection(client.query("select pg_sleep('infinity')"))
    client.release()
    expect(await settles(backendPid(pool), 'the next statement')).not.toBe(pid)
    expect(await running).toMatchObject({ name: 'ConnectionLostError' })
    await cluster.terminateBackends({ pid })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
