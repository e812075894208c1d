import { describe, expect, test } from 'vitest'
import { ServerRole, unknownPrimary, unwritableBy } from '../../../packages/core/src/connection/server-role.ts'
import type { DriverSession } from '../../../packages/core/src/driver/session.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const PATIENCE_MILLIS = 1000

type Report = (name: string, value: string) => void

/** A pool on a fake clock, and the sessions that it opens. */
function newPool() {
  const clock = new FakeClock()
  const pool = unknownPrimary()
  const open = (reports: Readonly<Record<string, string>> = {}): ServerRole => {
    let report: Report = () => {}
    const session = { onParameter: (listener: Report) => (report = listener) } as unknown as DriverSession
    const role = new ServerRole(session, pool, clock)
    for (const [name, value] of Object.entries(reports)) report(name, value)
    role.begin()
    return role
  }
  return { clock, pool, open }
}

const WRITABLE = { in_hot_standby: 'off', default_transaction_read_only: 'off' }
const refused = (): Error => Object.assign(new Error('read-only'), { code: '25006', severity: 'ERROR' })

describe('what a server says of itself', () => {
  test.each([
    { row: { in_recovery: 'false', read_only: 'off', source: 'default' }, found: undefined },
    { row: { in_recovery: 'true', read_only: 'off', source: 'default' }, found: 'in hot standby' },
    { row: { in_recovery: 'false', read_only: 'on', source: 'configuration file' }, found: 'read only' },
    { row: { in_recovery: 'false', read_only: 'on', source: 'database' }, found: 'read only' },
    { row: { in_recovery: 'false', read_only: 'on', source: 'user' }, found: undefined },
    { row: { in_recovery: 'false', read_only: 'on', source: 'database user' }, found: undefined },
    { row: { in_recovery: 'false', read_only: 'on', source: 'session' }, found: undefined },
    { row: { in_recovery: 'false', read_only: 'on', source: 'client' }, found: undefined },
    { row: undefined, found: undefined },
  ])('a server that answers $row is taken for $found', ({ row, found }) => {
    expect(unwritableBy(row)).toBe(found)
  })
})

describe('whether a refused write is in doubt', () => {
  test('a refused write is in doubt if the pool has met a server that takes writes', () => {
    const { open } = newPool()
    expect(open(WRITABLE).isInDoubt(refused())).toBe(true)
  })

  test('a refused write is in doubt if another session of the pool has written', () => {
    const { open } = newPool()
    const role = open()
    expect(role.isInDoubt(refused())).toBe(false)
    open().noteWrite()
    expect(role.isInDoubt(refused())).toBe(true)
  })

  test('a refused write is a mistake if the pool has only met servers that are read only', () => {
    const { open } = newPool()
    expect(open({ ...WRITABLE, default_transaction_read_only: 'on' }).isInDoubt(refused())).toBe(false)
  })
})

describe('while a primary is missed', () => {
  test('a missed primary makes every older connection outdated, and new ones are asked', () => {
    const { open } = newPool()
    const [first, second] = [open(WRITABLE), open(WRITABLE)]
    first.missPrimary(refused())
    expect([first.isOutdated, second.isOutdated, open(WRITABLE).isOutdated]).toEqual([true, true, false])
    expect(open(WRITABLE).mustBeAsked).toBe(true)
  })

  test('a connection from before, which finds out late, makes no newer one outdated', () => {
    const { open } = newPool()
    const [first, second] = [open(WRITABLE), open(WRITABLE)]
    first.missPrimary(refused())
    const found = open(WRITABLE)
    found.judge(undefined, PATIENCE_MILLIS)
    second.missPrimary(refused())
    expect([found.isOutdated, open(WRITABLE).mustBeAsked]).toEqual([false, false])
  })

  test('a server that takes writes ends the search for one', () => {
    const { open } = newPool()
    open(WRITABLE).missPrimary(refused())
    expect(open(WRITABLE).judge(undefined, PATIENCE_MILLIS)).toBeUndefined()
    expect(open(WRITABLE).mustBeAsked).toBe(false)
  })

  test('a server that is read only is refused as long as callers wait, and then serves those that read', async () => {
    const { clock, pool, open } = newPool()
    open(WRITABLE).missPrimary(refused())
    expect(open(WRITABLE).judge('read only', PATIENCE_MILLIS)).toMatchObject({ code: '57P03' })
    await clock.advance(PATIENCE_MILLIS)
    expect(open().judge('read only', PATIENCE_MILLIS)).toBeUndefined()
    expect(pool.isFound).toBe(false)
  })

  test('a standby is refused however long callers have waited', async () => {
    const { clock, open } = newPool()
    open(WRITABLE).missPrimary(refused())
    await clock.advance(10 * PATIENCE_MILLIS)
    expect(open(WRITABLE).judge('in hot standby', PATIENCE_MILLIS)).toMatchObject({ code: '57P03' })
  })
})
