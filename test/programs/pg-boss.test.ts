import type pg from 'pg'
import { type Db, PgBoss } from 'pg-boss'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { warmUp } from '../faults/support/pools.ts'
import { settles } from '../faults/support/settling.ts'
import { unnoticed } from '../faults/support/unnoticed.ts'
import { type Cluster, until } from '../support/index.ts'
import { HOLDFAST, LIBRARIES, STOCK } from './support/libraries.ts'

const SIZE = 4

const test = base.extend('schema', ({ applicationName }) => `boss_of_${applicationName.replace(/\W/g, '_')}`)

/** pg-boss makes its own pg.Pool, or takes this: what its documentation calls "bring your own database". */
function database(pool: pg.Pool): Db {
  return { executeSql: (text, values) => pool.query(text, values) }
}

/** A boss whose chores run every second, with two queues. */
async function startBoss(pool: pg.Pool, schema: string): Promise<PgBoss> {
  const boss = new PgBoss({
    db: database(pool),
    schema,
    cronMonitorIntervalSeconds: 1,
    cronWorkerIntervalSeconds: 1,
    superviseIntervalSeconds: 1,
    maintenanceIntervalSeconds: 1,
  })
  boss.on('error', () => {}) // As the documentation advises; a statement may be lost with its session.
  await boss.start()
  await boss.createQueue('enter')
  await boss.createQueue('tick')
  return boss
}

/** Has the boss enter the ids of its jobs. */
async function work(boss: PgBoss, pool: pg.Pool): Promise<void> {
  await boss.work<{ id: string }>('enter', { pollingIntervalSeconds: 0.5 }, async (jobs) => {
    for (const { data } of jobs) await pool.query('insert into entry values ($1)', [data.id])
  })
}

async function isEntered(cluster: Cluster, id: string): Promise<void> {
  await until(async () => (await cluster.query('select from entry where id = $1', [id])).length === 1, {
    what: `the job '${id}' to be done`,
  })
}

/** How a job has ended, as an independent session sees it. */
async function isCompleted(cluster: Cluster, schema: string, id: string | null): Promise<void> {
  await until(async () => {
    const [job] = await cluster.query<{ state: string }>(`select state from ${schema}.job where id = $1`, [id])
    return job?.state === 'completed'
  })
}

describe.each(LIBRARIES)('pg-boss on $library', ({ open }) => {
  test('pg-boss sends, works, schedules and stops', async ({ cluster, direct, schema }) => {
    await using pool = open({ ...direct, max: SIZE })
    const boss = await startBoss(pool, schema)
    await work(boss, pool)
    const id = await boss.send('enter', { id: `${schema} sent` })
    await isEntered(cluster, `${schema} sent`)
    await isCompleted(cluster, schema, id)
    await boss.schedule('tick', '* * * * *')
    await until(async () => (await cluster.query(`select from ${schema}.job where name = 'tick'`)).length > 0, {
      what: 'the clock to tick',
    })
    await settles(boss.stop(), 'the end of the boss')
    await until(() => pool.idleCount === pool.totalCount)
  })
})

describe('pg-boss on pg.Pool', () => {
  test("pg-boss on pg.Pool can't send a job after a restart", async ({ cluster, proxy, proxied, schema }) => {
    await using pool = STOCK.open({ ...proxied, max: SIZE })
    const boss = await startBoss(pool, schema)
    await warmUp(pool, SIZE)
    const letNewsArrive = await unnoticed(proxy, () => cluster.restart())
    const sent = boss.send('enter', { id: `${schema} afterwards` })
    letNewsArrive()
    await expect(settles(sent, 'the sending of a job')).rejects.toMatchObject({ code: '57P01' })
    await settles(boss.stop(), 'the end of the boss')
  })
})

describe('pg-boss on Holdfast', () => {
  test('pg-boss on Holdfast goes on after a restart of the server', async ({ cluster, proxy, proxied, schema }) => {
    await using pool = HOLDFAST.open({ ...proxied, max: SIZE })
    const boss = await startBoss(pool, schema)
    await work(boss, pool)
    await warmUp(pool, SIZE)
    const letNewsArrive = await unnoticed(proxy, () => cluster.restart())
    const sent = boss.send('enter', { id: `${schema} afterwards` })
    letNewsArrive()
    const id = await settles(sent, 'the sending of a job')
    await isEntered(cluster, `${schema} afterwards`)
    await isCompleted(cluster, schema, id)
    await boss.schedule('tick', '* * * * *')
    await until(async () => (await cluster.query(`select from ${schema}.job where name = 'tick'`)).length > 0, {
      what: 'the clock to tick',
    })
    await settles(boss.stop(), 'the end of the boss')
  })

  test('pg-boss on Holdfast does the jobs sent while the server is away', async ({ cluster, direct, schema }) => {
    await using pool = HOLDFAST.open({ ...direct, max: SIZE })
    const boss = await startBoss(pool, schema)
    await work(boss, pool)
    await cluster.stop()
    const sent = Array.from({ length: 2 * SIZE }, (_, i) => boss.send('enter', { id: `${schema} ${i}` }))
    await cluster.start()
    const ids = await settles(Promise.all(sent), 'the sending of jobs')
    for (const id of ids) await isCompleted(cluster, schema, id)
    await settles(boss.stop(), 'the end of the boss')
    const entered = await cluster.query('select from entry where id like $1', [`${schema} %`])
    expect(entered).toHaveLength(2 * SIZE)
  })
})
