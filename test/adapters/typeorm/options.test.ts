import { OptionsError, Pool } from '@holdfast/core'
import { driverFor, type HoldfastDataSourceOptions, holdfast } from '@holdfast/typeorm'
import pg from 'pg'
import { DataSource } from 'typeorm'
import { describe, expect, test } from 'vitest'
import { poolOf } from './support/data-source.ts'

const URL = 'postgres://app@127.0.0.1:9/postgres'

/** The problems that `holdfast()` finds in these options, which TypeScript might refuse as well. */
function problemsOf(options: object): readonly string[] {
  try {
    holdfast({ type: 'postgres', url: URL, ...options } as HoldfastDataSourceOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(OptionsError)
    return (error as OptionsError).problems
  }
  throw new Error('Nothing was wrong')
}

/** The pool that TypeORM makes of these options. Nothing listens at its address. */
async function poolFrom(options: object): Promise<Pool> {
  const source = new DataSource(holdfast({ type: 'postgres', url: URL, ...options } as HoldfastDataSourceOptions))
  const { driver } = source.options as { readonly driver: { Pool: new (config: object) => Pool } }
  const { Pool: Stock } = driver
  let made: Pool | undefined
  driver.Pool = function Spy(config: object) {
    made = new Stock(config)
    return made
  } as never
  await source.initialize().catch(() => {})
  await made?.end()
  return made as Pool
}

describe('holdfast()', () => {
  test("holdfast() returns TypeORM's options unchanged, with a driver, and with the pool's options in `extra`", () => {
    const entities: never[] = []
    const given = { type: 'postgres', url: URL, entities, poolSize: 3, extra: { statement_timeout: 5 } } as const
    const { driver, extra, ...rest } = holdfast({ ...given, holdfast: { prePing: false, maxIdle: undefined } })
    expect(rest).toEqual({ type: 'postgres', url: URL, entities, poolSize: 3 })
    expect(rest.entities).toBe(entities)
    expect(extra).toEqual({ statement_timeout: 5, prePing: false })
    expect({ ...driver, Pool: pg.Pool }).toEqual({ ...pg })
    expect(given).toEqual({ type: 'postgres', url: URL, entities, poolSize: 3, extra: { statement_timeout: 5 } })
  })

  test("holdfast() makes a pool with TypeORM's options and Holdfast's", async () => {
    const pool = await poolFrom({
      poolSize: 3,
      connectTimeoutMS: 300,
      applicationName: 'orders',
      extra: { statement_timeout: 5 },
      holdfast: { connectRetry: false, name: 'primary' },
    })
    expect(pool).toBeInstanceOf(Pool)
    expect(pool.status()).toMatchObject({ name: 'primary', max: 3 })
    expect(pool.options).toMatchObject({
      connectionTimeoutMillis: 300,
      application_name: 'orders',
      statement_timeout: 5,
    })
  })

  test("holdfast() uses Holdfast's defaults when no option of the pool is given", async () => {
    expect((await poolFrom({ extra: { connectRetry: false } })).status().max).toBe(10)
  })

  test.each([
    [{ holdfast: { max: 1 }, poolSize: 1 }, 'holdfast.max'],
    [{ holdfast: { connectionTimeoutMillis: 1 }, connectTimeoutMS: 1 }, 'holdfast.connectionTimeoutMillis'],
    [{ holdfast: { application_name: 'one' }, applicationName: 'one' }, 'holdfast.application_name'],
    [{ holdfast: { idleTimeoutMillis: 1 }, extra: { idleTimeoutMillis: 1 } }, 'holdfast.idleTimeoutMillis'],
    [{ holdfast: { host: 'here' } }, 'holdfast.host'],
    [{ holdfast: { connectionString: URL } }, 'holdfast.connectionString'],
  ])('holdfast() refuses an option that is given twice: %j', (options, key) => {
    expect(problemsOf(options)).toEqual([`\`${key}\` must be absent: TypeORM's own options, or \`extra\`, say it.`])
  })

  test('holdfast() takes an option whose value is undefined as absent', () => {
    const sparse = { poolSize: undefined, extra: { max: 2 }, holdfast: { max: undefined } }
    expect(holdfast({ type: 'postgres', ...sparse } as never).extra).toEqual({ max: 2 })
    expect(holdfast({ type: 'postgres', holdfast: undefined }).extra).toEqual({})
  })

  test.each([
    [{ holdfast: { prePing: 'yes' } }, /`prePing` must be/],
    [{ holdfast: { maxWaitin: 1 } }, /`maxWaitin` is not an option, did you mean `maxWaiting`/],
    [{ extra: { max: -1 } }, /`max` must be/],
    [{ poolSize: 0 }, /`max` must be/],
    [{ type: 'mysql' }, /`type` must be 'postgres', got 'mysql'/],
    [{ driver: pg }, /`driver` must be absent/],
    [{ driver: driverFor(new Pool()) }, /`driver` must be absent/],
    [{ replication: {}, extra: { hosts: [{ host: 'h' }] } }, /`hosts` must be absent beside `replication`/],
    [{ nativeDriver: {} }, /`nativeDriver` must be absent: pg-native/],
  ])('holdfast() refuses %o, and names the option', (options, problem) => {
    expect(problemsOf(options)).toEqual([expect.stringMatching(problem)])
  })

  test('holdfast() names every option that is wrong in one error', () => {
    expect(problemsOf({ type: 'mysql', driver: pg, nativeDriver: {}, poolSize: 1, holdfast: { max: 1 } })).toHaveLength(
      4,
    )
  })

  test('holdfast() keeps TypeORM from using pg-native', () => {
    const native = { Pool: pg.Pool }
    const source = new DataSource({ type: 'postgres', driver: { ...pg, native }, nativeDriver: {} })
    expect(source.driver).toMatchObject({ postgres: native })
    const ours = new DataSource({ ...holdfast({ type: 'postgres', url: URL }), nativeDriver: {} })
    expect((ours.driver as unknown as { postgres: unknown }).postgres).toBe(
      (ours.options as { driver: unknown }).driver,
    )
  })
})

describe('driverFor()', () => {
  test.each([
    ['a stock pool', () => new pg.Pool()],
    ['options', () => ({ max: 1 })],
    ['nothing', () => undefined],
  ])('driverFor() refuses %s', (_what, make) => {
    expect(() => driverFor(make() as Pool)).toThrow(OptionsError)
    expect(() => driverFor(make() as Pool)).toThrow('`pool` must be a Pool of @holdfast/core')
  })

  test('driverFor() refuses a pool that has ended', async () => {
    const pool = new Pool()
    await pool.end()
    expect(() => driverFor(pool)).toThrow(OptionsError)
  })

  test('driverFor() makes initialize() refuse options that only the pool may have', async () => {
    await using pool = new Pool()
    const source = new DataSource({ type: 'postgres', url: URL, poolSize: 3, driver: driverFor(pool) })
    await expect(source.initialize()).rejects.toThrow(OptionsError)
    await expect(source.initialize()).rejects.toThrow(/`connectionString` must be absent[\s\S]*`max` must be absent/)
    expect(poolOf(source)).toBeUndefined()
  })
})
