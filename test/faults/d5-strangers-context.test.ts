import { AsyncLocalStorage } from 'node:async_hooks'
import type { Pool } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { drizzleOn } from '../adapters/subjects/drizzle-stock.ts'
import { kyselyOn } from '../adapters/subjects/kysely-stock.ts'
import { subject as typeorm } from '../adapters/subjects/typeorm-stock.ts'
import { test } from './support/fault-test.ts'
import { holdfast, StockPool, WAYS } from './support/pools.ts'

const CALLERS = 12
const ROUNDS = 4

const tenants = new AsyncLocalStorage<string>()

/** As in many applications: each lease sets up the session for itself. */
function settleIn(pool: pg.Pool): void {
  pool.on('acquire', (client) => {
    void client.query("select set_config('app.tenant', $1, false)", [tenants.getStore() ?? 'nobody'])
  })
}

const TENANT = "select current_setting('app.tenant', true) as tenant"

/** How many of so many callers, all at once, read under another name than their own. */
async function readUnderAnotherName(read: () => Promise<readonly { tenant?: unknown }[]>): Promise<number> {
  let strangers = 0
  for (let round = 0; round < ROUNDS; round++) {
    const callers = Array.from({ length: CALLERS }, (_, caller) => `tenant ${round}/${caller}`)
    const reads = callers.map((name) =>
      tenants.run(name, async () => {
        const [row] = await read()
        if (row?.tenant !== name) strangers++
      }),
    )
    await Promise.all(reads)
  }
  return strangers
}

/** Reads through each of three ORMs, as they are, beside and inside of transactions. */
const ORMS = [
  { orm: 'Drizzle', open: async (pool: Pool) => drizzleOn(pool, async () => {}) },
  { orm: 'Kysely', open: async (pool: Pool) => kyselyOn(pool) },
]

describe.each([20, 2])('twelve callers at once, max: %i, whose session is set by an acquire listener', (max) => {
  test.for(WAYS)(
    'twelve callers read under the names that an acquire listener sets, through $way',
    async ({ run }, { direct }) => {
      await using pool = holdfast({ ...direct, max })
      settleIn(pool)
      expect(await readUnderAnotherName(async () => (await run(pool, TENANT)).rows)).toBe(0)
    },
  )

  test.for(ORMS)(
    'twelve callers read under the names that an acquire listener sets, through $orm as it is',
    async ({ open }, { direct }) => {
      await using pool = holdfast({ ...direct, max })
      settleIn(pool)
      const database = await open(pool)
      expect(await readUnderAnotherName(() => database.run(TENANT))).toBe(0)
      expect(await readUnderAnotherName(() => database.transaction((tx) => tx.run(TENANT)))).toBe(0)
    },
  )

  test('twelve callers read under the names that a listener sets, through TypeORM as it is', async ({ direct }) => {
    await using database = await typeorm.open({ ...direct, max })
    settleIn(database.pool)
    expect(await readUnderAnotherName(() => database.run(TENANT))).toBe(0)
    expect(await readUnderAnotherName(() => database.transaction((tx) => tx.run(TENANT)))).toBe(0)
  })
})

describe('stock pg.Pool', () => {
  test.for(WAYS)(
    'stock pg.Pool is right if no caller has to wait, and wrong if they do, through $way',
    async ({ run }, { direct }) => {
      await using roomy = new StockPool({ ...direct, max: 20 })
      await using full = new StockPool({ ...direct, max: 2 })
      for (const pool of [roomy, full]) settleIn(pool)
      expect(await readUnderAnotherName(async () => (await run(roomy, TENANT)).rows)).toBe(0)
      expect(await readUnderAnotherName(async () => (await run(full, TENANT)).rows)).toBeGreaterThan(0)
    },
  )
})
