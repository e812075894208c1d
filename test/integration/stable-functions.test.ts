import { readFile } from 'node:fs/promises'
import { expect } from 'vitest'
import { stableFunctionsFile } from '../../scripts/stable-functions.ts'
import { test } from '../faults/support/fault-test.ts'

const FILE = new URL('../../packages/core/src/sql/stable-functions.ts', import.meta.url)

test('the list of stable functions is what `npm run functions` makes of this server', async ({ cluster }) => {
  expect(await readFile(FILE, 'utf8')).toBe(await stableFunctionsFile(cluster))
})

test('no function of the list is volatile, in any of its overloads', async ({ cluster }) => {
  const { STABLE_FUNCTIONS } = await import('../../packages/core/src/sql/stable-functions.ts')
  const names = [...STABLE_FUNCTIONS]
  expect(names.length).toBeGreaterThan(500)
  const volatile = await cluster.query(
    "select distinct proname from pg_proc where proname = any($1) and provolatile = 'v'",
    [names],
  )
  expect(volatile).toEqual([])
  const known = await cluster.query('select distinct proname from pg_proc where proname = any($1)', [names])
  expect(known.length).toBe(names.length)
})
