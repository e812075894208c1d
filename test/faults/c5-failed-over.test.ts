import { randomUUID } from 'node:crypto'
import { CommitOutcomeUnknownError, type Pool, type PoolOptions } from '@holdfast/core'
import { expect } from 'vitest'
import { initialiseAnew } from '../commits/support/initialise-anew.ts'
import { together } from '../commits/support/strikes.ts'
import { AimedProxy, type Cluster, type NamedAct, type Point, until } from '../support/index.ts'
import { test } from './support/failover-test.ts'
import { holdfast } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

const COMMIT = /^commit$/i

/** A pool, and the address where it finds its server, whichever that is. */
class Application implements AsyncDisposable {
  readonly address: AimedProxy
  readonly pool: Pool

  private constructor(address: AimedProxy, pool: Pool) {
    this.address = address
    this.pool = pool
  }

  static async start(primary: Cluster, options: PoolOptions = {}): Promise<Application> {
    const address = await AimedProxy.start(primary)
    const pool = holdfast({ ...address.config(primary.config(options)), commitTimeoutMillis: 300 })
    await pool.query('select 1')
    return new Application(address, pool)
  }

  /** A payment, and how often its work was done. */
  pay(): { id: string; paid: Promise<unknown>; attempts: () => number } {
    const id = randomUUID()
    let attempts = 0
    const paid = this.pool.transaction(async (tx) => {
      attempts++
      await tx.query('insert into paid values ($1)', [id])
    })
    return { id, paid: unattended(paid), attempts: () => attempts }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
    await this.address[Symbol.asyncDispose]()
  }
}

async function isPaid(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from paid where id = $1', [id])).length === 1
}

/** From now on, the standby hears nothing: as far behind as asynchronous replication may leave it. */
async function detach(standby: Cluster): Promise<void> {
  await standby.setting('primary_conninfo', '')
  await until(async () => (await standby.query('select from pg_stat_wal_receiver')).length === 0)
}

async function failOver(primary: Cluster, standby: Cluster): Promise<void> {
  await primary.stop('immediate')
  await standby.promote()
}

const FAILED_OVER = 'the server has failed over: timeline 00000001 has become 00000002'
const PLACES: readonly [Point, NamedAct][] = [
  ['before-forward', 'rst'],
  ['before-forward', 'swallow'],
  ['after-forward', 'swallow'],
  ['on-reply', 'fin'],
  ['on-reply', 'swallow'],
]

test('a lost COMMIT is unknown when the server fails over and the standby lags behind, wherever COMMIT is', async ({
  primary,
  standby,
}) => {
  await detach(standby)
  const fail = together(PLACES.length, () => failOver(primary, standby))
  const errors = PLACES.map(async ([point, act]) => {
    await using application = await Application.start(primary)
    const { address } = application
    const { id, paid, attempts } = application.pay()
    const shot = address.aim({ statement: COMMIT, point }, async (link) => {
      address.retarget(standby) // Nobody is to ask the old primary meanwhile.
      if (point !== 'before-forward') await until(() => isPaid(primary, id))
      await fail(link)
      return act
    })
    await shot.fired
    const error = await rejection(paid)
    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect([attempts(), await isPaid(standby, id)]).toEqual([1, false])
    const next = application.pay()
    await settles(next.paid, 'the next payment')
    expect(await isPaid(standby, next.id)).toBe(true)
    return { reason: error.reason, transaction: error.transaction }
  })
  const unknown = { reason: FAILED_OVER, transaction: expect.objectContaining({ timeline: '00000001' }) }
  expect(await Promise.all(errors)).toEqual(PLACES.map(() => unknown))
})

test('a lost COMMIT is unknown after a failover, even if the standby has everything', async ({ primary, standby }) => {
  await using application = await Application.start(primary)
  const { address } = application
  const { id, paid, attempts } = application.pay()
  const shot = address.aim({ statement: COMMIT, point: 'on-reply' }, async () => {
    address.retarget(standby)
    await until(() => isPaid(standby, id), { what: 'the standby to follow' })
    await failOver(primary, standby)
    return 'rst'
  })
  await shot.fired
  expect(await rejection(paid)).toMatchObject({ code: '08007', reason: FAILED_OVER })
  expect([attempts(), await isPaid(standby, id)]).toEqual([1, true])
})

test("the old server isn't asked of a lost COMMIT when it lives on after a failover", async ({ primary, standby }) => {
  await using application = await Application.start(primary)
  const { address } = application
  await detach(standby)
  const { id, paid } = application.pay()
  const shot = address.aim({ statement: COMMIT, point: 'on-reply' }, async () => {
    address.retarget(standby)
    await standby.promote()
    return 'swallow'
  })
  await shot.fired
  expect(await rejection(paid)).toMatchObject({ code: '08007', reason: FAILED_OVER })
  expect([await isPaid(primary, id), await isPaid(standby, id)]).toEqual([true, false])
})

test('a standby is never asked of a lost COMMIT: the primary is waited for, with patience', async ({
  primary,
  standby,
}) => {
  const misled = async (point: Point, patienceMillis: number) => {
    const application = await Application.start(primary, { connectionTimeoutMillis: patienceMillis })
    const payment = application.pay()
    const shot = application.address.aim({ statement: COMMIT, point }, async () => {
      application.address.retarget(standby)
      if (point === 'on-reply') await until(() => isPaid(standby, payment.id), { what: 'the standby to follow' })
      return 'rst'
    })
    await shot.fired
    return { application, ...payment }
  }
  const [impatient, done, undone] = await Promise.all([
    misled('on-reply', 1000),
    misled('on-reply', 20_000),
    misled('before-forward', 20_000),
  ])
  await using _impatient = impatient.application
  await using _done = done.application
  await using _undone = undone.application

  // It could tell.
  expect(await isPaid(standby, impatient.id)).toBe(true)
  expect(await rejection(impatient.paid)).toMatchObject({ code: '08007', reason: expect.stringContaining('a standby') })
  for (const { application } of [done, undone]) {
    application.address.retarget(primary)
    for (const link of application.address.links) link.cut('rst')
  }
  await settles(Promise.all([done.paid, undone.paid]), 'the payments')
  expect([impatient, done, undone].map(({ attempts }) => attempts())).toEqual([1, 1, 2])
  expect(await primary.query('select from paid')).toHaveLength(3)
})

test('a lost COMMIT is unknown when another system has taken the place of the server', async ({ primary }) => {
  await using application = await Application.start(primary, { user: 'postgres' })
  const { address } = application
  const { paid, attempts } = application.pay()
  await address.aim({ statement: COMMIT, point: 'on-reply' }, () => initialiseAnew(primary)).fired
  expect(await rejection(paid)).toMatchObject({ code: '08007', reason: 'the server is another system' })
  expect(attempts()).toBe(1)
})
