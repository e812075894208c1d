import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { holdfast, StockPool, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const SLOTS = 6
/** Longer than a test lasts. */
const IDLE_TIMEOUT_MILLIS = 300_000

/** A role that may have so many connections, and how it logs in. */
async function roleWithLimit(cluster: Cluster, applicationName: string): Promise<{ user: string }> {
  const user = applicationName.replaceAll('-', '_')
  await cluster.query(`create role ${user} login password '${cluster.password}' connection limit ${SLOTS}`)
  return { user }
}

describe('two idle processes hold all connections, and a third one needs some', () => {
  test('stock pg.Pool: the third one is refused until the others close theirs', async ({ cluster, direct }) => {
    const config = { ...direct, ...(await roleWithLimit(cluster, direct.application_name)) }
    await using one = new StockPool({ ...config, max: SLOTS, idleTimeoutMillis: IDLE_TIMEOUT_MILLIS })
    await warmUp(one, SLOTS)
    await using late = new StockPool({ ...config, max: SLOTS })
    expect(await rejection(late.query('select 1'))).toMatchObject({ code: '53300' })
  })

  test('Holdfast: the idle ones close what they need not, and the third one is served', async ({ cluster, direct }) => {
    const role = await roleWithLimit(cluster, direct.application_name)
    const options = { ...direct, ...role, max: SLOTS, idleTimeoutMillis: IDLE_TIMEOUT_MILLIS }
    await using one = holdfast({ ...options, min: 1 })
    await using other = holdfast(options)
    await warmUp(one, SLOTS / 2)
    await warmUp(other, SLOTS / 2)
    await using late = holdfast(options)
    await settles(late.query('select 1'), 'the latecomer')
    const left = [one, other].reduce((sum, pool) => sum + pool.stats().connections.retired['server-full'], 0)
    expect(left).toBeGreaterThan(0)
    expect(one.totalCount).toBeGreaterThanOrEqual(1)
  })

  test('Holdfast: what is in use stays, and so do idle connections while there is room', async ({
    cluster,
    direct,
  }) => {
    const role = await roleWithLimit(cluster, direct.application_name)
    const options = { ...direct, ...role, max: SLOTS, idleTimeoutMillis: IDLE_TIMEOUT_MILLIS }
    await using roomy = holdfast(options)
    await warmUp(roomy, SLOTS / 2)
    const used = await roomy.connect()
    // It has looked twice by now, and looks twice more.
    await until(() => roomy.stats().uptimeMillis > 2500)
    expect(roomy.totalCount).toBe(SLOTS / 2)
    await using other = holdfast(options)
    await warmUp(other, SLOTS / 2)
    await until(() => roomy.totalCount === 1, { timeoutMillis: 20_000 })
    expect((await used.query('select 1 as it')).rows).toEqual([{ it: 1 }])
    used.release()
  })
})
