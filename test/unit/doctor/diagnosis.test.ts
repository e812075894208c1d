import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Diagnosis, diagnose, diagnoseFailure } from '../../../packages/core/src/doctor/diagnosis.ts'
import type { Facts } from '../../../packages/core/src/doctor/facts.ts'
import type { Finding } from '../../../packages/core/src/doctor/finding.ts'
import { ConnectError } from '../../../packages/core/src/errors.ts'
import { someFacts } from './some-facts.ts'

const PLACE = { host: 'db.example', port: 5432, database: 'shop' }

function find({ findings }: Diagnosis, check: string): Finding | undefined {
  return findings.find((finding) => finding.check === check)
}

function found(check: string, different: Partial<Facts>, settings?: Record<string, string>): Finding | undefined {
  return find(diagnose(someFacts(different, settings)), check)
}

function limits(server: number, role = Number.POSITIVE_INFINITY, used = 1): Partial<Facts> {
  const value = {
    limits: { server, role, database: Number.POSITIVE_INFINITY },
    used: { server: used, role: used, database: used },
  }
  return { capacity: { value } }
}

test('a server where all is well has no warning and needs no option', () => {
  const { status, findings, options, format } = diagnose(someFacts())
  expect(findings.filter((finding) => finding.status !== 'ok')).toEqual([])
  expect({ status, options, format }).toEqual({ status: 'ok', options: {}, format: 1 })
})

test('the names of the checks are those that programs rely on', () => {
  expect(diagnose(someFacts()).findings.map(({ check }) => check)).toEqual([
    'connection',
    'version',
    'tls',
    'pooler',
    'role',
    'capacity',
    'idle_session_timeout',
    'idle_in_transaction_session_timeout',
    'statement_timeout',
    'tcp_keepalives',
    'client_connection_check_interval',
    'watch',
    'lost_commit',
    'prepare',
    'clock',
  ])
})

test('the page on the doctor has a line for each check', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/doctor.md'), 'utf8')
  const [, table = ''] = page.split('## What it checks')
  const lines = [...(table.split('##')[0] ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(([, check]) => check)
  expect(lines).toEqual(diagnose(someFacts()).findings.map(({ check }) => check))
})

describe('capacity', () => {
  test('fails if the processes may want more than the server grants, and says what fits', () => {
    const diagnosis = diagnose(someFacts({ ...limits(97), wanted: { processes: 4, max: 30 } }))
    expect(find(diagnosis, 'capacity')).toMatchObject({
      status: 'fail',
      found: expect.stringContaining('4 processes × max 30 = 120'),
      options: { max: 24 },
    })
    expect(diagnosis).toMatchObject({ status: 'fail', options: { max: 24 } })
  })

  test('goes by the tightest of the limits', () => {
    expect(found('capacity', limits(97, 8))).toMatchObject({
      status: 'fail',
      found: expect.stringContaining('the role (its connection limit) allows 8'),
    })
  })

  test('suggests no max where not even one each fits', () => {
    const finding = found('capacity', { ...limits(3), wanted: { processes: 4, max: 10 } })
    expect(finding).toMatchObject({ status: 'fail', advice: expect.stringContaining('at most 3 processes') })
    expect(finding).not.toHaveProperty('options')
  })

  test('warns while nearly all connections are taken', () => {
    expect(found('capacity', limits(97, undefined, 90))).toMatchObject({ status: 'warn' })
    expect(found('capacity', limits(97, undefined, 80))).toMatchObject({ status: 'ok' })
  })

  test('behind a pooler the limits of the server are those of the pooler', () => {
    const wanted = { processes: 40, max: 30 }
    expect(found('capacity', { ...limits(97), wanted, pooler: 'session' })).toMatchObject({ status: 'ok' })
  })
})

describe('the way to the server', () => {
  test.for([
    { tls: 'none' as const, host: 'db.example', status: 'warn' },
    { tls: 'none' as const, host: '127.0.0.1', status: 'ok' },
    { tls: 'none' as const, host: '/var/run/postgresql', status: 'ok' },
    { tls: 'unverified' as const, host: '127.0.0.1', status: 'warn' },
    { tls: 'verified' as const, host: 'db.example', status: 'ok' },
  ])('TLS $tls to $host: $status', ({ tls, host, status }) => {
    expect(found('tls', { tls, place: { ...PLACE, host } })).toMatchObject({ status })
  })

  test('behind a pooler of transactions, it says which option, and what is not there', () => {
    const diagnosis = diagnose(someFacts({ pooler: 'transaction' }))
    expect(diagnosis.options).toEqual({ pooler: 'transaction' })
    expect(find(diagnosis, 'watch')).toMatchObject({ status: 'warn' })
    expect(find(diagnosis, 'prepare')).toMatchObject({ found: expect.stringContaining('nothing is prepared') })
  })

  test('a client that vanishes is noticed late with the settings of a stock server', () => {
    const settings = { tcp_keepalives_idle: '7200', tcp_keepalives_interval: '75', tcp_keepalives_count: '9' }
    expect(found('tcp_keepalives', {}, settings)).toMatchObject({
      status: 'warn',
      found: expect.stringContaining('2 h 11 min'),
      options: { options: expect.stringContaining('tcp_keepalives_idle=60') },
    })
    expect(found('tcp_keepalives', { pooler: 'session' }, settings)).not.toHaveProperty('options')
  })
})

describe('the server', () => {
  test.for([
    ['PostgreSQL 12.22 on x86_64', 120_022, 'warn'],
    ['PostgreSQL 13.0 on x86_64', 130_000, 'ok'],
    ['CockroachDB CCL v25.1.0 (x86_64)', 130_000, 'warn'],
  ] as const)('%s (%i): %s', ([version, versionNumber, status]) => {
    expect(found('version', { version, versionNumber })).toMatchObject({ status })
  })

  test('a standby is told, and commits nothing', () => {
    const role = { value: 'standby' } as const
    expect(found('role', { role })).toMatchObject({ status: 'warn' })
    expect(found('lost_commit', { role, commits: { refused: 'no' } })).toMatchObject({ status: 'ok' })
  })

  test('an idle_session_timeout that is shorter than that of the pool asks for a shorter one of the pool', () => {
    expect(found('idle_session_timeout', {}, { idle_session_timeout: '5000' })).toMatchObject({
      status: 'warn',
      options: { idleTimeoutMillis: 4000 },
    })
    expect(found('idle_session_timeout', {}, { idle_session_timeout: '600000' })).toMatchObject({ status: 'ok' })
  })

  test('a statement_timeout is a warning only where it is short', () => {
    expect(found('statement_timeout', {}, { statement_timeout: '500' })).toMatchObject({ status: 'warn' })
    expect(found('statement_timeout', {}, { statement_timeout: '30000' })).toMatchObject({ status: 'ok' })
  })

  test('before PostgreSQL 14 no server looks for its client', () => {
    const settings = { value: new Map() }
    expect(found('client_connection_check_interval', { settings })).toMatchObject({ status: 'warn' })
    expect(found('client_connection_check_interval', {}, { client_connection_check_interval: '0' })).toMatchObject({
      status: 'warn',
    })
  })

  test.for(['watch', 'commits', 'capacity', 'role', 'clock'] as const)(
    'a question that is refused is a warning that says why: %s',
    (question) => {
      const diagnosis = diagnose(someFacts({ [question]: { refused: 'permission denied' } }))
      expect(diagnosis.status).toBe('warn')
      expect(diagnosis.findings.filter((finding) => finding.found.includes('permission denied'))).toHaveLength(1)
    },
  )

  test('a clock counts as different only beyond what is uncertain', () => {
    const clock = (aheadMillis: number, uncertaintyMillis: number) => ({
      clock: { value: { aheadMillis, uncertaintyMillis } },
    })
    expect(found('clock', clock(-90_000, 10))).toMatchObject({ status: 'warn', found: expect.stringMatching(/behind/) })
    expect(found('clock', clock(4000, 3000))).toMatchObject({ status: 'ok' })
  })
})

test.for([
  ['28P01', 'password'],
  ['3D000', 'database'],
  ['ENOTFOUND', 'name of the host'],
  ['ECONNREFUSED', 'No server listens'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'sslrootcert'],
])('a connection that fails with %s is a failure with advice', ([code, advice]) => {
  const cause = Object.assign(new Error('it failed'), { code })
  const diagnosis = diagnoseFailure(PLACE, new ConnectError(PLACE, cause))
  expect(diagnosis).toMatchObject({ status: 'fail', server: PLACE })
  expect(diagnosis.findings).toMatchObject([{ check: 'connection', status: 'fail' }])
  expect(diagnosis.findings[0]?.advice).toContain(advice)
})
