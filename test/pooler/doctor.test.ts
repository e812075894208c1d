import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test as base, describe, expect } from 'vitest'
import { Cluster } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const COMMAND = join(import.meta.dirname, '../../packages/core/src/doctor/bin.ts')

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

interface Report {
  readonly options: object
  readonly findings: readonly { readonly check: string; readonly status: string; readonly found: string }[]
}

async function examine(pgbouncer: PgBouncer): Promise<Report> {
  const { host, port, user, password, database } = pgbouncer.config()
  const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings', COMMAND, 'doctor', '--json'], {
    env: { ...process.env, DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}` },
  })
  expect(stdout).not.toContain(password)
  return JSON.parse(stdout) as Report
}

function find({ findings }: Report, check: string): Report['findings'][number] | undefined {
  return findings.find((finding) => finding.check === check)
}

describe('holdfast doctor behind PgBouncer', () => {
  test('shows that each transaction gets another session, and says which option', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: 'transaction' })
    const report = await examine(pgbouncer)
    expect(report.options).toMatchObject({ pooler: 'transaction' })
    expect(find(report, 'pooler')).toMatchObject({ status: 'warn', found: expect.stringContaining('each transaction') })
    expect(find(report, 'watch')).toMatchObject({ status: 'warn' })
    expect(find(report, 'lost_commit')).toMatchObject({ status: 'ok' })
  })

  test('finds one that gives sessions, without taking it for one that gives transactions', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: 'session' })
    const report = await examine(pgbouncer)
    expect(report.options).not.toHaveProperty('pooler')
    expect(find(report, 'pooler')).toMatchObject({ status: 'warn', found: expect.stringContaining("isn't known") })
  })

  test('answers though the pooler has a single session to give', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: 'session', default_pool_size: 1 })
    const report = await examine(pgbouncer)
    expect(find(report, 'connection')).toMatchObject({ status: 'ok' })
    expect(find(report, 'pooler')).toMatchObject({ status: 'warn' })
  })
})
