import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test as base, describe, expect } from 'vitest'
import { Cluster } from '../support/index.ts'

const CORE = join(import.meta.dirname, '../../packages/core')
const COMMAND = join(CORE, process.env.HOLDFAST_TEST_BUILT === undefined ? 'src/doctor/bin.ts' : 'dist/holdfast.mjs')

interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warn' | 'fail'
  readonly found: string
  readonly advice?: string
}

interface Report {
  readonly code: number | null
  readonly output: string
  readonly findings: readonly Finding[]
  readonly options: object
}

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start({ settings: { max_connections: 30, superuser_reserved_connections: 3 } })
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

/** Starts the command as a user does: in a process of its own. */
function start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, ['--no-warnings', COMMAND, 'doctor', ...args], {
    env: { ...process.env, NO_COLOR: '1', DATABASE_URL: undefined, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function outcomeOf(child: ChildProcess): Promise<{ code: number | null; output: string; errors: string }> {
  const exit = once(child, 'close') as Promise<[number | null]>
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    exit,
  ])
  return { code, output, errors }
}

async function examine(url: string, ...args: string[]): Promise<Report> {
  const { code, output, errors } = await outcomeOf(start(['--json', ...args], { DATABASE_URL: url }))
  expect(errors).toBe('')
  return { ...(JSON.parse(output) as Omit<Report, 'code' | 'output'>), code, output }
}

function find({ findings }: Report, check: string): Finding | undefined {
  return findings.find((finding) => finding.check === check)
}

/** The URL of the cluster with other parameters: these say how TLS is used. */
function withParameters(cluster: Cluster, parameters: string): string {
  return `${cluster.url.split('?')[0]}?${parameters}`
}

describe('holdfast doctor', () => {
  test('finds a direct connection with verified TLS, rights and clock in order', async ({ cluster }) => {
    const report = await examine(cluster.url)
    expect(report).toMatchObject({
      code: 0,
      format: 1,
      server: { host: cluster.host, port: cluster.port, database: 'postgres' },
    })
    for (const check of ['connection', 'version', 'tls', 'pooler', 'role', 'capacity', 'watch', 'lost_commit', 'clock'])
      expect(find(report, check)).toMatchObject({ status: 'ok' })
    expect(find(report, 'tls')?.found).toContain('verified')
    expect(find(report, 'pooler')?.found).toContain('straight to the server')
    expect(report.output).not.toContain(cluster.password)
  })

  test('prints a table, and goes by the variables of libpq', async ({ cluster }) => {
    const { code, output } = await outcomeOf(
      start([], {
        PGHOST: cluster.host,
        PGPORT: String(cluster.port),
        PGUSER: 'app',
        PGPASSWORD: cluster.password,
        PGDATABASE: 'postgres',
        PGSSLMODE: 'no-verify',
      }),
    )
    expect(code).toBe(0)
    expect(output).toMatch(/^Holdfast doctor: 127\.0\.0\.1:\d+\/postgres\n/)
    expect(output).toMatch(/^ok {4}connection +opened in .*, as app$/m)
    expect(output).toMatch(/^warn {2}tls +encrypted, certificate not verified/m)
    expect(output).not.toContain(cluster.password)
  })

  test('tells TLS that verifies nothing, and a certificate that nobody knows', async ({ cluster }) => {
    const unverified = await examine(withParameters(cluster, 'sslmode=no-verify'))
    expect(unverified.code).toBe(0)
    expect(find(unverified, 'tls')).toMatchObject({ status: 'warn', advice: expect.stringContaining('verify-full') })
    const unknown = await examine(withParameters(cluster, 'sslmode=verify-full'))
    expect(unknown.code).toBe(1)
    expect(find(unknown, 'connection')).toMatchObject({
      status: 'fail',
      advice: expect.stringContaining('sslrootcert'),
    })
  })

  test('a wrong password is a failure, and is not repeated', async ({ cluster }) => {
    const wrong = 'nonsense-password'
    const report = await examine(cluster.url.replace(cluster.password, wrong))
    expect(report).toMatchObject({ code: 1, findings: [{ check: 'connection', status: 'fail' }] })
    expect(report.findings[0]?.advice).toContain('password')
    expect(report.output).not.toContain(wrong)
  })

  test("a URL that can't be read is bad usage, and is not repeated", async () => {
    const { code, output, errors } = await outcomeOf(start(['postgres://app:hunter2#@x@db/shop']))
    expect({ code, output }).toEqual({ code: 2, output: '' })
    expect(errors).toContain('percent-encoded')
    expect(errors).not.toContain('hunter2')
  })

  test('reckons with the processes, and with the limits of the role', async ({ cluster }) => {
    const tooMany = await examine(cluster.url, '--processes', '3', '--max', '20')
    expect(tooMany).toMatchObject({ code: 1, options: { max: 9 } })
    expect(find(tooMany, 'capacity')).toMatchObject({
      status: 'fail',
      found: expect.stringContaining(
        '3 processes × max 20 = 60; the server (max_connections minus what is reserved) allows 27',
      ),
    })
    await cluster.query(`create role limited login password '${cluster.password}' connection limit 4`)
    const limited = await examine(cluster.url.replace('//app:', '//limited:'), '--max', '5')
    expect(find(limited, 'capacity')).toMatchObject({
      status: 'fail',
      found: expect.stringMatching(/the role .* allows 4/),
    })
  })

  test('says what the role lacks', async ({ cluster }) => {
    await cluster.query(`create role modest login password '${cluster.password}'`)
    await cluster.query('revoke execute on function pg_control_checkpoint() from public')
    await cluster.query('alter role modest set idle_session_timeout = 5000')
    await cluster.query('alter role modest set track_activities = off')
    const report = await examine(cluster.url.replace('//app:', '//modest:'))
    expect(report).toMatchObject({ code: 0, options: { idleTimeoutMillis: 4000 } })
    expect(find(report, 'lost_commit')).toMatchObject({
      status: 'warn',
      found: expect.stringContaining('permission denied for function pg_control_checkpoint'),
    })
    expect(find(report, 'watch')).toMatchObject({ status: 'warn', found: expect.stringContaining('track_activities') })
    await cluster.query('grant execute on function pg_control_checkpoint() to public')
  })

  test('knows a standby', async ({ cluster }) => {
    await using standby = await cluster.standby()
    const report = await examine(standby.url)
    expect(report.code).toBe(0)
    expect(find(report, 'role')).toMatchObject({ status: 'warn', found: expect.stringContaining('standby') })
  })

  test('a server that is away is a failure at once', async () => {
    await using cluster = await Cluster.start()
    await cluster.stop()
    const report = await examine(cluster.url)
    expect(report).toMatchObject({ code: 1, findings: [{ check: 'connection', status: 'fail' }] })
    expect(report.findings[0]?.advice).toContain('No server listens there')
  })
})

describe('a server that never answers', () => {
  const silent = base
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
    .extend('server', async ({}, { onCleanup }) => {
      const sockets = new Set<net.Socket>()
      const server = net.createServer((socket) => sockets.add(socket.on('error', () => {})))
      onCleanup(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    })
    .extend('url', ({ server }) => `postgres://app@127.0.0.1:${(server.address() as net.AddressInfo).port}/shop`)

  silent('is a failure when the time is up', async ({ url }) => {
    const report = await examine(url, '--timeout', '0.5')
    expect(report).toMatchObject({ code: 1, findings: [{ check: 'connection', status: 'fail' }] })
    expect(report.findings[0]?.advice).toContain('--timeout')
  })

  silent('is left by Ctrl-C, and nothing is printed', async ({ url, server }) => {
    const child = start([url, '--timeout', '600'])
    const outcome = outcomeOf(child)
    await once(server, 'connection')
    child.kill('SIGINT')
    expect(await outcome).toEqual({ code: 130, output: '', errors: '' })
  })
})
