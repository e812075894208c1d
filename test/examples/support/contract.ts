import { randomUUID } from 'node:crypto'
import { test as base, describe, expect } from 'vitest'
import { areAsMany, Cluster, FaultProxy, until } from '../../support/index.ts'
import { Customers, insist, type Order } from './customers.ts'
import { FAULTS, type Place } from './faults.ts'
import { type Answer, type Asked, Service, type ServiceOptions } from './service.ts'

const CUSTOMERS = 4
/** A service that doesn't end its pool exits later: after 10 s its idle connections close. */
const SOON_MILLIS = 8000
const STOCK = new URL('stock.ts', import.meta.url)

/** The only error answer of a service: its connection was lost while COMMIT was in flight. */
const OUTCOME_UNKNOWN = { status: 503, body: expect.objectContaining({ message: expect.stringContaining('repeat') }) }

/** What must hold for each of the services with orders and payments. */
export function describeService(file: string): void {
  const test = base
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
    .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
      const cluster = await Cluster.start()
      onCleanup(() => cluster[Symbol.asyncDispose]())
      return cluster
    })
    .extend('proxy', { scope: 'file' }, async ({ cluster }, { onCleanup }) => {
      const proxy = await FaultProxy.start(cluster)
      onCleanup(() => proxy[Symbol.asyncDispose]())
      return proxy
    })
    .extend('start', { scope: 'file' }, ({ cluster, proxy }) => {
      let started = 0
      return async (options: Partial<ServiceOptions> = {}): Promise<Service & Pick<Place, 'applicationName'>> => {
        const applicationName = `example-${++started}`
        const databaseUrl = `${proxy.url(cluster.url)}&application_name=${applicationName}`
        return Object.assign(await Service.start(file, { databaseUrl, ...options }), { applicationName })
      }
    })
    /** The same service in all tests of a file, fault after fault. */
    .extend('service', { scope: 'file' }, async ({ start }, { onCleanup }) => {
      const service = await start()
      onCleanup(() => service[Symbol.asyncDispose]())
      return service
    })
    .extend('place', ({ cluster, proxy, service }): Place => {
      return { cluster, proxy, applicationName: service.applicationName }
    })

  describe(file, () => {
    test('carries a request out once that is sent twice with the same key', async ({ service }) => {
      const order = { method: 'POST', path: '/orders', key: randomUUID(), body: { cents: 250 } } as const
      const ordered = await service.ask(order)
      const id = (ordered.body as Order).id
      expect(ordered).toEqual({ status: 201, body: { id, cents: 250, status: 'open' } })
      expect(await service.ask(order)).toEqual(ordered)

      const payment = { method: 'POST', path: `/orders/${id}/pay`, key: randomUUID() } as const
      const paid = { status: 200, body: { id, cents: 250, status: 'paid' } }
      expect(await Promise.all([service.ask(payment), service.ask(payment)])).toEqual([paid, paid])
      expect(await service.ask({ method: 'GET', path: `/orders/${id}` })).toEqual({
        status: 200,
        body: { id, cents: 250, status: 'paid', payments: [{ id: expect.any(Number), cents: 250 }] },
      })
    })

    test('refuses unknown orders, second payments and invalid requests', async ({ service }) => {
      const { id } = await insist(service, { method: 'POST', path: '/orders', key: randomUUID(), body: { cents: 1 } })
      const path = `/orders/${id}/pay`
      await insist(service, { method: 'POST', path, key: randomUUID() })
      const refused = async (asked: Asked): Promise<number> => (await service.ask(asked)).status
      expect(await refused({ method: 'POST', path, key: randomUUID() })).toBe(409)
      expect(await refused({ method: 'POST', path: '/orders/999999/pay', key: randomUUID() })).toBe(404)
      expect(await refused({ method: 'GET', path: '/orders/999999' })).toBe(404)
      expect(await refused({ method: 'POST', path })).toBe(400)
      expect(await refused({ method: 'POST', path: '/orders', body: { cents: 1 } })).toBe(400)
      expect(await refused({ method: 'POST', path: '/orders', key: randomUUID(), body: { cents: -1 } })).toBe(400)
    })

    test.for(FAULTS)('fails no request during $what', async ({ happen }, { service, place }) => {
      await using customers = new Customers(service, CUSTOMERS)
      await served(customers, 10)
      await happen(place)
      await served(customers, 10)
      await customers.leave()
      expect(customers.failures).toEqual([])
      // A fault affects one request of each customer at most.
      expect(customers.repeated.length).toBeLessThanOrEqual(CUSTOMERS)
      for (const answer of customers.repeated) expect(answer).toEqual(OUTCOME_UNKNOWN)
      await expectBooksToBalance(place)
    })

    test.for(FAULTS)('carries a running payment out through $what', async ({ happen }, { service, place }) => {
      const { cluster, applicationName } = place
      expect(await paymentDuring(() => happen(place), service, place)).toMatchObject({
        status: 200,
        body: { status: 'paid' },
      })
      expect(await cluster.countSessions({ applicationName, state: 'idle in transaction' })).toBe(0)
      await expectBooksToBalance(place)
    })

    test('does not survive a restart on stock libraries', async ({ start, cluster }) => {
      await using service = await start({ preload: STOCK })
      const place = { cluster, applicationName: service.applicationName }
      // It may answer with an error, or crash.
      const answer = await paymentDuring(() => cluster.restart(), service, place).catch(() => undefined)
      expect(answer?.status).not.toBe(200)
    })

    test.for(FAULTS)(
      'makes a payment once when its COMMIT is lost by $what',
      async ({ happen }, { service, place }) => {
        const { cluster } = place
        const { id } = await insist(service, { method: 'POST', path: '/orders', key: randomUUID(), body: { cents: 9 } })
        await using _slow = await slowCommits(cluster)
        const paid = await cluster.withAdmin(async (admin) => {
          await admin.query('select pg_advisory_lock(1)')
          const paying = insist(service, { method: 'POST', path: `/orders/${id}/pay`, key: randomUUID() })
          await until(async () => (await waiting(place, /^commit/i)) === 1)
          await happen(place)
          return { paying }
        })
        expect(await paid.paying).toMatchObject({ status: 'paid' })
        await expectBooksToBalance(place)
      },
    )

    test('answers with the state of its pool', async ({ service, place }) => {
      const ask = (): ReturnType<Service['ask']> => service.ask({ method: 'GET', path: '/status' })
      const { status, body } = await ask()
      expect({ status, body }).toMatchObject({ status: 200, body: { pid: service.pid, max: 10, leased: 0 } })
      // For a moment, only one of the two counts a session that opens or closes.
      await until(
        async () => {
          const sessions = await place.cluster.sessions({ applicationName: place.applicationName })
          const { size } = (await ask()).body as { size: number }
          return areAsMany(
            sessions.map(({ query }) => query),
            size,
          )
        },
        { what: 'the server to count as many sessions as the pool does' },
      )
      expect(service.complaints).toEqual([])
    })

    test.for(['SIGTERM', 'SIGINT'] as const)(
      'answers its open requests on %s, and exits without an error',
      async (signal, { start, cluster }) => {
        await using service = await start()
        await using customers = new Customers(service, CUSTOMERS)
        const { applicationName } = service
        const stop = async (): Promise<void> => {
          // npm passes a Ctrl-C on, which its child has received already.
          service.signal(signal)
          service.signal(signal)
          await until(() => isRefused(service))
        }
        expect(await paymentDuring(stop, service, { cluster, applicationName })).toMatchObject({
          status: 200,
          body: { status: 'paid' },
        })
        await until(() => !service.isRunning, { timeoutMillis: SOON_MILLIS, what: 'the pool to be ended' })
        expect(await service.ends()).toEqual({ code: 0, stderr: '' })
        await customers.leave()
        // Their connections were refused, so they got no answer.
        for (const failure of customers.failures) expect(failure).toMatchObject({ message: 'fetch failed' })
        await until(async () => (await cluster.countSessions({ applicationName })) === 0)
      },
    )
  })
}

/** Waits for `count` more purchases, or for a failure. */
async function served(customers: Customers, count: number): Promise<void> {
  const enough = customers.served + count
  await until(() => customers.served >= enough || customers.failures.length > 0)
}

/** The answer to a payment whose transaction has been held up, in the midst of it, until this has happened. */
async function paymentDuring(
  happen: () => Promise<unknown>,
  service: Service,
  { cluster, applicationName }: Omit<Place, 'proxy'>,
): Promise<Answer> {
  const { id } = await insist(service, { method: 'POST', path: '/orders', key: randomUUID(), body: { cents: 7 } })
  const { paying } = await cluster.withAdmin(async (admin) => {
    await admin.query('begin')
    await admin.query('select from orders where id = $1 for update', [id])
    const paying = service.ask({ method: 'POST', path: `/orders/${id}/pay`, key: randomUUID() })
    paying.catch(() => {})
    await until(async () => (await waiting({ cluster, applicationName }, /orders/)) === 1)
    await happen()
    return { paying }
  })
  return paying
}

/** How many sessions of the service wait for a lock, with a statement like this. */
async function waiting({ cluster, applicationName }: Omit<Place, 'proxy'>, query: RegExp): Promise<number> {
  const sessions = await cluster.sessions({ applicationName, state: 'active' })
  return sessions.filter((session) => query.test(session.query) && session.waitEvent !== null).length
}

async function isRefused(service: Service): Promise<boolean> {
  try {
    await service.ask({ method: 'GET', path: '/status' })
    return false
  } catch {
    return true
  }
}

/** Every order that is paid has one payment of its amount, and nothing else is paid. */
async function expectBooksToBalance({ cluster }: Place): Promise<void> {
  const wrong = await cluster.query(`
    select o.id, o.cents, o.status, count(p) as payments, sum(p.cents) as paid
      from orders o full join payments p on p.order_id = o.id
     group by o.id
    having (o.status = 'paid') <> (count(p) > 0) or count(p) > 1 or sum(p.cents) <> o.cents`)
  expect(wrong).toEqual([])
}

/** Until it is disposed of, a COMMIT with a payment waits while another session holds the advisory lock 1. */
async function slowCommits(cluster: Cluster): Promise<AsyncDisposable> {
  await cluster.withAdmin(async (admin) => {
    await admin.query(`
      create or replace function wait() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock(1); return null; end';
      create constraint trigger slow after insert on payments deferrable initially deferred
        for each row execute function wait()`)
  })
  return {
    async [Symbol.asyncDispose]() {
      await cluster.query('drop trigger slow on payments')
    },
  }
}
