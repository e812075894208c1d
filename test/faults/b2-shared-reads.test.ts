import type { Pool } from '@holdfast/core'
import { expect } from 'vitest'
import { atEachByte, test } from './support/at-each-byte.ts'

const SHARED = 8

test('eight reads that share a connection which is lost at any byte have one result each, their own', {
  timeout: 120_000,
}, async ({ cluster, direct }) => {
  const readTogether = async (pool: Pool, id: string): Promise<void> => {
    const ids = Array.from({ length: SHARED }, (_, index) => `${id}-${index}`)
    const results = await Promise.all(ids.map((each) => pool.query('select $1::text as id', [each])))
    expect(results.map(({ rows }) => rows)).toEqual(ids.map((each) => [{ id: each }]))
  }
  const options = { ...direct, maxPipeline: SHARED, prepare: 'auto' as const }
  expect((await atEachByte(cluster, options, readTogether, 13)).length).toBeGreaterThan(100)
})
