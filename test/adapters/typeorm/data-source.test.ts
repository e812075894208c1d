import 'reflect-metadata'
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { Pool } from '@holdfast/core'
import { holdfast } from '@holdfast/typeorm'
import pg from 'pg'
import { type DataSource, Entity, EntitySchema, PrimaryColumn } from 'typeorm'
import { describe, expect, onTestFinished } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { settles } from '../../faults/support/settling.ts'
import { type Cluster, freePort, until } from '../../support/index.ts'
import { addressOf, connected, poolOf, stock, withHoldfast } from './support/data-source.ts'

const run = promisify(execFile)

@Entity('entry')
class DecoratedEntry {
  @PrimaryColumn('text')
  id!: string
}

const EntrySchema = new EntitySchema<{ id: string }>({
  name: 'EntrySchema',
  tableName: 'entry',
  columns: { id: { type: 'text', primary: true } },
})

/** A logger for TypeORM, and the lines that it was given. */
function recordingLogger(): { readonly lines: string[]; readonly logger: object } {
  const lines: string[] = []
  const ignore = (): void => {}
  const log = (_level: string, message: unknown): void => void lines.push(String(message))
  const others = ['logQuery', 'logQueryError', 'logQuerySlow', 'logSchemaBuild', 'logMigration']
  return { lines, logger: { log, ...Object.fromEntries(others.map((name) => [name, ignore])) } }
}

/** Leases `count` connections at the same time, and raises a notice on each. */
async function raiseNotices(source: DataSource, count: number): Promise<void> {
  const runners = Array.from({ length: count }, () => source.createQueryRunner())
  await Promise.all(runners.map((runner) => runner.connect()))
  for (const [index, runner] of runners.entries()) await runner.query(`do $$begin raise notice 'of ${index}'; end$$`)
  for (const runner of runners) await runner.release()
}

async function ended(source: DataSource, cluster: Cluster, applicationName: string): Promise<void> {
  await source.destroy()
  await until(async () => (await cluster.countSessions({ applicationName })) === 0, { what: 'no session to be left' })
}

describe('a data source with holdfast()', () => {
  test.for(['extra', 'holdfast'] as const)(
    'a data source with holdfast() takes several hosts from `%s`, and works on the one that suits',
    async (place, { direct, applicationName }) => {
      const { host, port } = direct
      const hosts = [
        { host, port: await freePort() },
        { host, port },
      ]
      const given = { hosts, targetSessionAttrs: 'read-write' } as const
      const source = await connected({ ...addressOf(direct), applicationName, [place]: given })
      await source.query('select 1')
      expect(poolOf(source).inspect()).toMatchObject([{ host, port, role: 'primary' }])
      await source.destroy()
    },
  )

  test('a data source with holdfast() ends its Holdfast pool in destroy(), and has a new one after initialize()', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    const source = await connected({ ...addressOf(direct), applicationName })
    for (const again of [true, false]) {
      const pool = poolOf(source)
      expect(pool).toBeInstanceOf(Pool)
      expect(await source.query('select current_user as it')).toEqual([{ it: 'app' }])
      expect(await pool.query('select 1 as it').then(({ rows }) => rows)).toEqual([{ it: 1 }])
      const client = await pool.connect()
      client.release()
      await ended(source, cluster, applicationName)
      expect(pool.status().isClosed).toBe(true)
      if (again) await source.initialize()
    }
  })

  test('a data source with holdfast() can initialize() again when the first one failed', async ({ proxy, proxied }) => {
    const source = withHoldfast({ ...addressOf(proxied), connectTimeoutMS: 300, holdfast: { prePing: true } })
    proxy.refuse()
    await expect(source.initialize()).rejects.toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT' })
    await proxy.heal()
    await source.initialize()
    expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
    await source.destroy()
  })

  test.for([
    { entities: 'decorated classes', entity: DecoratedEntry },
    { entities: 'schemas', entity: EntrySchema },
  ])(
    'a data source with holdfast() saves and finds entities that are $entities',
    async ({ entities, entity }, { direct }) => {
      const source = await connected({ ...addressOf(direct), entities: [entity] })
      const repository = source.getRepository<{ id: string }>(entity)
      const id = `saved as one of ${entities}`
      await repository.save({ id })
      expect(await repository.findOneBy({ id })).toEqual({ id })
      await source.destroy()
    },
  )

  test('a data source with holdfast() takes new options from setOptions()', async ({ direct }) => {
    const source = withHoldfast({ ...addressOf(direct), poolSize: 1 })
    source.setOptions(holdfast({ type: 'postgres', poolSize: 2, holdfast: { name: 'set later' } }))
    await source.initialize()
    expect(poolOf(source).status()).toMatchObject({ name: 'set later', max: 2 })
    await source.destroy()
  })

  test('a data source with holdfast() parses int8 as numbers when parseInt8 is true', async ({ direct }) => {
    const { parseInt8 } = Object.getOwnPropertyDescriptors(pg.defaults)
    expect(parseInt8?.set).toBeDefined()
    onTestFinished(() => {
      pg.defaults.parseInt8 = false
    })
    const source = await connected({ ...addressOf(direct), parseInt8: true })
    expect(await source.query('select 42::int8 as it')).toEqual([{ it: 42 }])
    await source.destroy()
  })

  test('a data source calls poolErrorHandler for a lost connection', async ({ cluster, direct, applicationName }) => {
    const told: Error[] = []
    const poolErrorHandler = (error: Error): void => void told.push(error)
    const source = await connected({ ...addressOf(direct), applicationName, poolErrorHandler })
    await cluster.terminateBackends({ applicationName })
    await until(() => told.length > 0, { what: 'the handler to be told' })
    expect(told).toEqual([expect.objectContaining({ name: 'ConnectionLostError', code: '57P01' })])
    expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
    await source.destroy()
  })

  test('a data source logs the notices of every connection, and stock those of the first', async ({ direct }) => {
    const noticesLogged = async (make: (options: object) => DataSource): Promise<string[]> => {
      const { lines, logger } = recordingLogger()
      const source = make({ ...addressOf(direct), logNotifications: true, logger })
      await source.initialize()
      await raiseNotices(source, 3)
      await source.destroy()
      return lines
    }
    expect(await noticesLogged(stock)).toEqual(['of 0'])
    expect(await noticesLogged(withHoldfast)).toEqual(['of 0', 'of 1', 'of 2'])
  })

  test("a data source with holdfast() leaves the application's own listeners on a client alone", async ({ direct }) => {
    const { lines, logger } = recordingLogger()
    const source = await connected({ ...addressOf(direct), logNotifications: true, logger } as never)
    const runner = source.createQueryRunner()
    const client: pg.PoolClient = await runner.connect()
    const own: unknown[] = []
    client.on('notice', ({ message }) => own.push(message))
    await runner.query("do $$begin raise notice 'for both'; end$$")
    expect([lines, own]).toEqual([['for both'], ['for both']])
    const { listeners } = client
    expect(listeners.call(client, 'notice')).toHaveLength(2)
    await runner.release()
    await raiseNotices(source, 2)
    expect(lines).toEqual(['for both', 'of 0', 'of 1'])
    // A listener on a client is called during that lease only.
    expect(own).toEqual(['for both'])
    await source.destroy()
  })

  test("a data source with holdfast() runs a query by TypeORM's command line", async ({ cluster }) => {
    const cli = createRequire(import.meta.url).resolve('typeorm/cli.js')
    const program = `${import.meta.dirname}/programs/data-source.ts`
    const query = run(process.execPath, [cli, 'query', "select 'by the command line' as it", '-d', program], {
      env: { ...process.env, DATABASE_URL: cluster.url },
    })
    const { stdout, stderr } = await settles(query, 'the command')
    expect(stderr).toBe('')
    expect(stdout).toContain('by the command line')
  })
})
