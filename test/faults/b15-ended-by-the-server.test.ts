import { ConnectionLostError } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { countOf, INSERT, killWaiting, watched, whileLocked } from './support/locked.ts'
import { StockPool, WAYS } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

describe('a session is ended while it runs a single write', () => {
  test.for(WAYS)('stock pg.Pool: the write fails, through $way', async ({ run }, { cluster, direct }) => {
    await using stock = new StockPool({ ...direct, max: 1 })
    let failed: Promise<unknown> | undefined
    await whileLocked(cluster, async () => {
      failed = rejection(run(stock, INSERT, ['stock']))
      await killWaiting(cluster, direct.application_name)
    })
    expect(await failed).toMatchObject({ code: '57P01' })
  })

  test.for(WAYS)(
    'Holdfast: it runs again, and is written once, through $way',
    async ({ way, run }, { cluster, direct }) => {
      await using own = watched({ ...direct, max: 2 })
      const id = `again ${way}`
      let answer: Promise<pg.QueryResult> | undefined
      await whileLocked(cluster, async () => {
        answer = run(own.pool, INSERT, [id])
        await killWaiting(cluster, direct.application_name)
        await killWaiting(cluster, direct.application_name)
      })
      expect(await settles(answer as Promise<pg.QueryResult>, 'the write')).toMatchObject({ rowCount: 1 })
      expect(await countOf(cluster, id)).toBe(1)
      expect(own.retries).toEqual([
        expect.stringMatching(/attempt 2 .* as the server rolled it back \(reason: 57P01/),
        expect.stringMatching(/attempt 3 .* as the server rolled it back \(reason: 57P01/),
      ])
      await expectHealthy(own.pool, cluster, direct.application_name)
    },
  )

  test.for(WAYS)('Holdfast: it runs four times at most, through $way', async ({ way, run }, { cluster, direct }) => {
    await using own = watched({ ...direct, max: 1 })
    const id = `four ${way}`
    let failed: Promise<unknown> | undefined
    await whileLocked(cluster, async () => {
      failed = rejection(run(own.pool, INSERT, [id]))
      for (let time = 1; time <= 4; time++) await killWaiting(cluster, direct.application_name)
    })
    const error = await failed
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({
      code: '57P01',
      phase: 'query',
      sent: true,
      statementOutcome: 'rolled-back',
      commitOutcome: 'aborted',
      message: expect.stringMatching(/which was rolled back.*not run again: it has run 4 times/),
    })
    expect(own.retries).toHaveLength(3)
    expect(await countOf(cluster, id)).toBe(0)
    await expectHealthy(own.pool, cluster, direct.application_name)
  })

  test('Holdfast: the client of connect() goes on where its statement ran again', async ({ cluster, direct }) => {
    await using own = watched({ ...direct, max: 1 })
    const events: string[] = []
    const client = await own.pool.connect()
    client.on('error', () => events.push('error'))
    client.on('end', () => events.push('end'))
    client.on('notice', ({ message }) => events.push(message ?? ''))
    let answers: Promise<unknown[]> | undefined
    await whileLocked(cluster, async () => {
      answers = Promise.all([client.query(INSERT, ['goes on'])])
      await killWaiting(cluster, direct.application_name)
    })
    await settles(answers as Promise<unknown[]>, 'the write')
    const { rows } = await client.query('select pg_backend_pid() as pid')
    expect(rows).toEqual([{ pid: (client as unknown as { processID: number }).processID }])
    await client.query("do $$ begin raise notice 'here'; end $$")
    expect(events).toEqual(['here'])
    client.release()
    expect(() => client.release()).toThrow(/already been released/)
    const next = await own.pool.connect()
    expect(next.listenerCount('notice')).toBe(0)
    next.release()
    await expectHealthy(own.pool, cluster, direct.application_name)
  })

  test('Holdfast: what the client is asked while its lease moves waits for that', async ({ cluster, direct }) => {
    await using own = watched({ ...direct, max: 1 })
    const client = await own.pool.connect()
    let first: Promise<unknown> | undefined
    let second: Promise<pg.QueryResult> | undefined
    let third: Promise<unknown> | undefined
    await whileLocked(cluster, async () => {
      first = client.query(INSERT, ['moves'])
      own.pool.once('remove', () => {
        second = client.query('select count(*)::int as count from entry where id = $1', ['moves'])
        third = new Promise((resolve) => client.query('select 1', (error: unknown) => resolve(error)))
      })
      await killWaiting(cluster, direct.application_name)
      await until(() => second !== undefined)
    })
    await settles(first as Promise<unknown>, 'the write')
    expect(await settles(second as Promise<pg.QueryResult>, 'the read')).toMatchObject({ rows: [{ count: 1 }] })
    expect(await third).toBeNull()
    client.release()
    await expectHealthy(own.pool, cluster, direct.application_name)
  })

  test('Holdfast: a query object is told, and so are the listeners of its client', async ({ cluster, direct }) => {
    await using own = watched({ ...direct, max: 1 })
    const events: string[] = []
    const client = await own.pool.connect()
    client.on('error', () => events.push('error'))
    let failed: Promise<unknown> | undefined
    await whileLocked(cluster, async () => {
      const query = new pg.Query(INSERT, ['object'])
      failed = new Promise((resolve) => query.once('error', resolve))
      client.query(query)
      await killWaiting(cluster, direct.application_name)
    })
    expect(await failed).toMatchObject({ name: 'ConnectionLostError', statementOutcome: 'rolled-back' })
    await until(() => events.length > 0)
    client.release()
    expect(own.retries).toEqual([])
  })

  test('Holdfast: the listeners of a client are told of its end after a statement that was refused', async ({
    cluster,
    direct,
  }) => {
    await using own = watched({ ...direct, max: 1 })
    const events: string[] = []
    const client = await own.pool.connect()
    client.on('error', () => events.push('error'))
    const given = { text: 'select 1', signal: AbortSignal.abort() }
    await rejection(client.query(given))
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await until(() => events.length > 0)
    client.release()
  })

  test('Holdfast: a second statement of the client is told, and not run again', async ({ cluster, direct }) => {
    await using own = watched({ ...direct, max: 1 })
    const client = await own.pool.connect()
    await client.query('select 1')
    let failed: Promise<unknown> | undefined
    await whileLocked(cluster, async () => {
      failed = rejection(client.query(INSERT, ['second']))
      await killWaiting(cluster, direct.application_name)
    })
    // What the lease did before may be written, so its work as a whole isn't run again.
    expect(await failed).toMatchObject({ statementOutcome: 'rolled-back', commitOutcome: 'unknown' })
    client.release()
    expect(own.retries).toEqual([])
    expect(await countOf(cluster, 'second')).toBe(0)
  })

  test('Holdfast: a listener for acquire sets the new session up, too', async ({ cluster, direct }) => {
    await using own = watched({ ...direct, max: 1 })
    own.pool.on('acquire', (client) => void client.query("set holdfast.tenant = 'blue'").catch(() => {}))
    for (const { way, run } of WAYS) {
      let answer: Promise<pg.QueryResult> | undefined
      await whileLocked(cluster, async () => {
        answer = run(
          own.pool,
          "insert into entry values ($1) returning current_setting('holdfast.tenant', true) as tenant",
          [`tenant ${way}`],
        )
        await killWaiting(cluster, direct.application_name)
      })
      const { rows } = await settles(answer as Promise<pg.QueryResult>, 'the write')
      expect(rows).toEqual([{ tenant: 'blue' }])
    }
    expect(own.retries).toHaveLength(2)
  })

  test('Holdfast: BEGIN runs again by itself', async ({ cluster, direct }) => {
    await using own = watched({ ...direct, max: 1 })
    const client = await own.pool.connect()
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await settles(client.query('begin'), 'BEGIN')
    await client.query(INSERT, ['begun'])
    await client.query('commit')
    client.release()
    expect(own.retries).toHaveLength(1)
    expect(await countOf(cluster, 'begun')).toBe(1)
  })
})

describe('the server ends a COMMIT before it is executed', () => {
  test('Holdfast: nobody has to ask what became of it', async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) =>
      admin.query(`create table late (id int);
        create function wait() returns trigger language plpgsql as
          $$ begin perform pg_advisory_xact_lock(1515); return null; end $$;
        create constraint trigger late after insert on late deferrable initially deferred
          for each row execute function wait();
        grant all on late to app`),
    )
    await using own = watched({ ...direct, max: 2 })
    const client = await own.pool.connect()
    let failed: Promise<Error & Record<string, unknown>> | undefined
    await cluster.withAdmin(async (admin) => {
      await admin.query('select pg_advisory_lock(1515)')
      await client.query('begin')
      await client.query('insert into late values (1)')
      failed = rejection(client.query('commit'))
      await until(async () => {
        const waiting = await cluster.sessions({ applicationName: direct.application_name, state: 'active' })
        return waiting.some(({ waitEvent }) => waitEvent === 'advisory')
      })
      await cluster.terminateBackends({ applicationName: direct.application_name, state: 'active' })
      await failed
      await admin.query('select pg_advisory_unlock(1515)')
    })
    expect(await failed).toMatchObject({
      name: 'ConnectionLostError',
      phase: 'commit',
      statementOutcome: 'rolled-back',
      commitOutcome: 'aborted',
    })
    client.release()
    expect(await cluster.query('select from late')).toEqual([])
  })
})
