import { expect, test } from 'vitest'
import { sessionNeedOf } from '../../../packages/core/src/policy/pooler.ts'

test.each([
  ['LISTEN news', 'listen'],
  ['select 1; listen "News"', 'listen'],
  ['select pg_advisory_lock($1)', 'lock'],
  ['select pg_catalog.pg_try_advisory_lock_shared(1, 2) as locked', 'lock'],
  ['with l as (select pg_try_advisory_lock(7) as got) select got from l', 'lock'],
  ['select pg_advisory_xact_lock(1)', undefined],
  ['select pg_advisory_unlock(1)', undefined],
  ["select 'listen', 'pg_advisory_lock(1)'", undefined],
  ['notify news', undefined],
  ['unlisten *', undefined],
  ['', undefined],
] as const)('%s needs a session of its own: %s', (text, need) => {
  expect(sessionNeedOf(text)).toBe(need)
})
