import { execFile } from 'node:child_process'
import { Console } from 'node:console'
import { PassThrough } from 'node:stream'
import { promisify } from 'node:util'
import type { Logger } from '@holdfast/core'
import pino from 'pino'
import { describe, expect } from 'vitest'
import winston from 'winston'
import { test } from '../faults/support/fault-test.ts'
import { holdfast, warmUp } from '../faults/support/pools.ts'
import { settles } from '../faults/support/settling.ts'
import { freePort, until } from '../support/index.ts'

interface Line {
  readonly level: string
  readonly text: string
}

interface Logging {
  readonly logger: Logger
  /** What was written so far, as that logger writes it. */
  lines(): Line[]
}

/** Each of them really writes; what it wrote is read back. */
const LOGGERS: readonly { readonly name: string; open(): Logging }[] = [
  {
    name: 'console',
    open() {
      const stdout = collector()
      const stderr = collector()
      const read = (level: string, { text }: Collector): Line[] =>
        text()
          .split('\n')
          .filter(Boolean)
          .map((line) => ({ level, text: line }))
      // A console doesn't write the level, only where it goes to.
      return {
        logger: new Console({ stdout: stdout.stream, stderr: stderr.stream }),
        lines: () => [...read('out', stdout), ...read('err', stderr)],
      }
    },
  },
  {
    name: 'pino',
    open() {
      const { stream, text } = collector()
      const logger = pino({ level: 'debug', formatters: { level: (level) => ({ level }) } }, stream)
      const textOf = ({ pool, code, msg, detail }: Written): string =>
        `[${pool === 'holdfast' ? pool : `holdfast:${pool}`} ${process.pid}] ${code ? `${code}: ` : ''}${msg}${detail ? `\n${detail}` : ''}`
      return { logger, lines: () => linesOf(text()).map((line) => ({ level: line.level, text: textOf(line) })) }
    },
  },
  {
    name: 'winston',
    open() {
      const { stream, text } = collector()
      const logger = winston.createLogger({
        level: 'debug',
        format: winston.format.json(),
        transports: [new winston.transports.Stream({ stream })],
      })
      return { logger, lines: () => linesOf(text()).map(({ level, message }) => ({ level, text: message })) }
    },
  },
]

interface Collector {
  readonly stream: PassThrough
  text(): string
}

function collector(): Collector {
  let text = ''
  const stream = new PassThrough({ encoding: 'utf8' }).on('data', (chunk: string) => {
    text += chunk
  })
  return { stream, text: () => text }
}

/** A line of a logger that writes JSON. */
interface Written {
  readonly level: string
  readonly msg: string
  readonly message: string
  readonly pool?: string
  readonly code?: string
  readonly detail?: string
}

function linesOf(text: string): Written[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

/** What was written by this pattern: its levels, in order. */
function levelsOf(lines: readonly Line[], pattern: RegExp): string[] {
  return lines.filter(({ text }) => pattern.test(text)).map(({ level }) => level)
}

describe.each(LOGGERS)('$name', ({ name, open }) => {
  const levels =
    name === 'console' ? { debug: 'out', info: 'out', warn: 'err' } : { debug: 'debug', info: 'info', warn: 'warn' }

  test('the echo logs what happens to a pool during an outage', async ({ cluster, direct }) => {
    const { logger, lines } = open()
    // With 'all' one of the two is invalidated, before it can find out by itself.
    const options = { max: 2, name: 'orders', logger, echo: 'debug', invalidateOnDisconnect: 'all' } as const
    const pool = holdfast({ ...direct, ...options })
    const pids = await warmUp(pool, 2)
    await cluster.stop('fast')
    const stoppedAt = performance.now()
    await until(() => pool.totalCount === 0, { what: 'the idle connections to be given up' })
    const statement = pool.query('select 1')
    const CANNOT_CONNECT = /Cannot connect, trying again; callers wait for up to 15000 ms .*ECONNREFUSED/
    await until(() => levelsOf(lines(), CANNOT_CONNECT).length > 0, { what: 'the warning' })
    await until(() => performance.now() - stoppedAt > 2500, { what: 'the outage to last' })
    await cluster.start()
    await settles(statement, 'the statement that waited for the server')
    const recoveredAt = performance.now()
    await until(() => performance.now() - recoveredAt > 1500, { what: 'maintenance to have run' })
    await pool.end()
    await until(() => levelsOf(lines(), /Pool closed/).length > 0, { what: 'the last line' })
    expect(levelsOf(lines(), /stood still/)).toEqual([])
    expect(levelsOf(lines(), /^\S+ \d+\] HOLDFAST_CONNECT_FAILED: Cannot connect/)).toEqual([levels.warn])

    for (const { text } of lines()) expect(text).toMatch(new RegExp(`^\\[holdfast:orders ${process.pid}\\] \\S`))
    for (const pid of pids)
      expect(levelsOf(lines(), new RegExp(`Created new connection \\d \\(backend ${pid}\\) in \\d+ ms$`))).toEqual([
        levels.debug,
      ])
    // The first connection that was lost, and the one that was retired because of it.
    const [, first] =
      /Invalidate connection (\d+)/.exec(
        lines()
          .map(({ text }) => text)
          .join('\n'),
      ) ?? []
    const ADMIN = '57P01: terminating connection due to administrator command'
    expect(levelsOf(lines(), new RegExp(`Invalidate connection ${first} \\(reason: ${ADMIN}\\)$`))).toEqual([
      levels.info,
    ])
    expect(levelsOf(lines(), /Connection \d+ invalidated due to pool invalidation; recycling$/)).toEqual([levels.info])
    expect(levelsOf(lines(), new RegExp(`Disconnection detected, .* \\(reason: ${ADMIN}\\)$`))).toEqual([levels.info])
    expect(levelsOf(lines(), new RegExp(`Connection ${first} lost while in pool$`))).toEqual([levels.debug])
    expect(levelsOf(lines(), CANNOT_CONNECT)).toEqual([levels.warn])
    expect(levelsOf(lines(), /Error on connect\(\): ECONNREFUSED/)[0]).toBe(levels.debug)
    expect(levelsOf(lines(), /Pool closed\. Pool size: 2 {2}Connections in pool: 0/)).toEqual([levels.info])

    const story = lines().map(({ text }) => text.replace(/^\[.*?\] /, ''))
    const inOrder = [
      /^Created new connection \d/,
      /^Connection \d checked out from pool/,
      /^Connection \d being returned to pool/,
      /^Invalidate connection/,
      /^Disconnection detected/,
      /^Connection \d invalidated due to pool invalidation/,
      /^Connection \d lost while in pool/,
      /^Error on connect/,
      /^Created new connection \d+/,
      /^Connected again after [\d.]+ m?s, \d+ attempts? failed$/,
      /^Connection \d+ checked out from pool after \d+ ms/,
      /^Connection \d+ being returned to pool/,
      /^Closed connection/,
      /^Pool closed/,
    ]
    let from = 0
    for (const pattern of inOrder) {
      const found = story.findIndex((text, index) => index >= from && pattern.test(text))
      expect(found, `${pattern} after line ${from} of\n${story.join('\n')}`).not.toBe(-1)
      from = found + 1
    }
  })

  test('a logger is given warnings only, without an echo', async ({ direct }) => {
    const { logger, lines } = open()
    await using pool = holdfast({
      ...direct,
      port: await freePort(),
      connectionTimeoutMillis: 500,
      logger,
      echo: false,
    })
    await expect(pool.query('select 1')).rejects.toThrow('timeout exceeded')
    expect(lines()).toEqual([{ level: levels.warn, text: expect.stringContaining('Cannot connect, trying again') }])
  })
})

describe('an overdue lease', () => {
  test('an overdue lease is logged with the line that acquired it, and again when it ends', async ({ direct }) => {
    const { logger, lines } = (LOGGERS[1] as (typeof LOGGERS)[number]).open()
    await using pool = holdfast({ ...direct, name: 'orders', logger, leakDetectionMillis: 1 })
    const client = await acquireAndForget()
    async function acquireAndForget() {
      return await pool.connect()
    }
    await until(() => lines().length > 0, { what: 'the warning' })
    client.release()
    expect(lines()).toEqual([
      {
        level: 'warn',
        text: expect.stringMatching(
          /leak detection triggered for connection 1 .*:\n(.*\n)*.*acquireAndForget.*echo\.test/,
        ),
      },
      {
        level: 'warn',
        text: expect.stringMatching(/reported leaked connection 1 \(backend \d+\) was released after \d+ ms/),
      },
    ])
  })
})

describe('HOLDFAST_ECHO', () => {
  const PROGRAM = `
    import { Pool } from '@holdfast/core'
    const pool = new Pool({ connectionString: process.env.DATABASE_URL, name: 'orders', max: 1 })
    await pool.query('select 1')
    await pool.end()`

  /** Runs the program in a process of its own. */
  async function run(url: string, environment: Record<string, string>) {
    const child = promisify(execFile)(process.execPath, ['--input-type=module', '-e', PROGRAM], {
      cwd: import.meta.dirname, // From where it finds the package.
      env: { ...process.env, DATABASE_URL: url, ...environment },
      timeout: 30_000,
    })
    const { stdout, stderr } = await child
    const lines = stdout.split('\n').filter(Boolean)
    for (const line of lines) expect(line.slice(0, 40)).toContain(`[holdfast:orders ${child.child.pid}] `)
    expect(stderr).toBe('')
    return lines.map((line) => line.replace(/^\[.*?\] /, '').split(' ')[0])
  }

  test('HOLDFAST_ECHO=debug has every lease written to the console', async ({ cluster }) => {
    const firstWords = await run(cluster.url, { HOLDFAST_ECHO: 'debug' })
    expect(firstWords).toEqual(['Created', 'Connection', 'Connection', 'Closing', 'Closed', 'Pool'])
  })

  test('HOLDFAST_ECHO=1 has what changes written to the console', async ({ cluster }) => {
    expect(await run(cluster.url, { HOLDFAST_ECHO: '1' })).toEqual(['Pool'])
  })

  test.for(['0', ''])("HOLDFAST_ECHO='%s' has nothing written", async (value, { cluster }) => {
    expect(await run(cluster.url, { HOLDFAST_ECHO: value })).toEqual([])
  })

  test('any other HOLDFAST_ECHO is refused at construction, by its name', async ({ cluster }) => {
    await expect(run(cluster.url, { HOLDFAST_ECHO: 'loud' })).rejects.toMatchObject({
      stderr: expect.stringContaining("`HOLDFAST_ECHO` must be 1, true, info, debug, 0 or false, got 'loud'."),
    })
  })
})
