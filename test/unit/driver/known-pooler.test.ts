import { describe, expect, test } from 'vitest'
import { KnownPooler } from '../../../packages/core/src/driver/known-pooler.ts'
import type { FoundPooler, SessionNeed } from '../../../packages/core/src/policy/pooler.ts'
import { serverError } from '../../support/fake-client.ts'

const WORDS = serverError('08P01', 'query_wait_timeout', 'FATAL')

/** What is known of a pooler, with what was told. */
function known(option?: FoundPooler['option']): KnownPooler & { readonly told: (FoundPooler | SessionNeed)[] } {
  const told: (FoundPooler | SessionNeed)[] = []
  const pooler = new KnownPooler(option)
  pooler.listener = { onFound: (found) => told.push(found), onNeed: (need) => told.push(need) }
  return Object.assign(pooler, { told })
}

/** What a session is: one that was not asked, one that was served as named, one that was not. */
function sessions(pooler: KnownPooler): (boolean | undefined)[] {
  return [pooler.isDirect(undefined), pooler.isDirect(true), pooler.isDirect(false)]
}

describe('by default', () => {
  test('nothing is known of a session that was not asked', () => {
    const pooler = known()
    expect([pooler.kind, pooler.isThere, sessions(pooler)]).toEqual(['unknown', false, [undefined, true, false]])
  })

  test('a session that is served as named shows that there is none, and another session must show it, too', () => {
    const pooler = known()
    pooler.served(true)
    expect([pooler.kind, pooler.isThere, sessions(pooler)]).toEqual(['none', false, [undefined, true, false]])
  })

  test('a session that is not served as named shows that there is one, and it is told once', () => {
    const pooler = known()
    pooler.served(true)
    pooler.served(false)
    pooler.served(false)
    expect([pooler.kind, pooler.isThere, sessions(pooler)]).toEqual(['some', true, [false, true, false]])
    expect(pooler.told).toEqual([{ pooler: 'some', by: 'process', option: 'auto' }])
  })

  test('what only poolers say shows that there is one', () => {
    const pooler = known()
    pooler.ended(serverError('57P01', 'terminating connection due to administrator command', 'FATAL'))
    expect(pooler.kind).toBe('unknown')
    pooler.ended(WORDS)
    expect(pooler.told).toEqual([{ pooler: 'some', by: 'words', option: 'auto' }])
  })

  test('two processes that serve one session show how it pools', () => {
    const pooler = known()
    pooler.served(false)
    pooler.moved()
    pooler.moved()
    expect([pooler.kind, pooler.isPerTransaction]).toEqual(['transaction', true])
    expect(pooler.told.slice(1)).toEqual([{ pooler: 'transaction', by: 'process', option: 'auto' }])
  })
})

test('where none was given, each session is direct, until one shows that there is one', () => {
  const pooler = known('none')
  expect([pooler.kind, sessions(pooler)]).toEqual(['none', [true, true, false]])
  pooler.served(false)
  expect([pooler.kind, sessions(pooler)]).toEqual(['some', [false, true, false]])
  expect(pooler.told).toEqual([{ pooler: 'some', by: 'process', option: 'none' }])
})

test.each(['session', 'transaction'] as const)(
  'where %s was given, no session is direct, whatever it shows',
  (option) => {
    const pooler = known(option)
    pooler.served(true)
    pooler.served(false)
    pooler.ended(WORDS)
    expect([pooler.kind, pooler.isThere, sessions(pooler)]).toEqual([option, true, [false, false, false]])
    expect(pooler.told).toEqual([])
  },
)

test('each need of a session is told once', () => {
  const pooler = known('transaction')
  for (const text of [
    'listen a',
    'listen b',
    'select 1',
    'select pg_advisory_lock(1)',
    'select pg_try_advisory_lock(2)',
  ])
    pooler.sends(text)
  pooler.needs('reset')
  expect(pooler.told).toEqual(['listen', 'lock', 'reset'])
})
