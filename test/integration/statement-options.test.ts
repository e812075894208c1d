import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { CommitOutcomeUnknownError, ConnectionLostError, OptionsError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/aimed-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection } from '../faults/support/settling.ts'
import type { Cluster } from '../support/index.ts'

async function count(cluster: Cluster, id: string): Promise<number> {
  return (await cluster.query('select from entry where id = $1', [id])).length
}

const SELECT = /^select 'once more'/

describe('a statement that may run twice', () => {
  test.for([
    ['by its third argument', { text: "select 'once more' as it" }, { idempotent: true }],
    ['by its config', { text: "select 'once more' as it", idempotent: true }, undefined],
  ] as const)(
    'a statement that may run twice, said %s, is sent again when its connection is lost',
    async ([, config, options], { aimed, aimedAt }) => {
      await using pool = holdfast(aimedAt)
      const shot = aimed.aim({ statement: SELECT, point: 'on-reply' }, 'rst')
      const { rows } = options ? await pool.query(config.text, undefined, options) : await pool.query(config)
      await shot.fired
      expect(rows).toEqual([{ it: 'once more' }])
    },
  )

  test("a statement isn't sent again without the option", async ({ aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: /^insert/, point: 'on-reply' }, 'rst')
    const error = await rejection(pool.query("insert into entry values ('not once more')"))
    await shot.fired
    expect(error).toBeInstanceOf(ConnectionLostError)
  })

  test('a statement that may run twice rejects at once with its own errors', async ({ direct }) => {
    await using pool = holdfast(direct)
    expect(await rejection(pool.query('select 1 / 0', [], { idempotent: true }))).toMatchObject({ code: '22012' })
  })
})

describe('a write that must not run twice', () => {
  const insert = (id: string) => ({ text: 'insert into entry values ($1)', values: [id] })

  test('a transactional write is written once although its answer is lost', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
    const { rowCount } = await pool.query({ ...insert('exactly-once'), transactional: true })
    await shot.fired
    expect([rowCount, await count(cluster, 'exactly-once')]).toEqual([1, 1])
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('a transactional write is written once although it was lost', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: /^insert/, point: 'on-reply' }, 'rst')
    await pool.query('insert into entry values ($1)', ['on-its-way'], { transactional: true })
    await shot.fired
    expect(await count(cluster, 'on-its-way')).toBe(1)
  })

  test('a transactional write is unknown where the pool does not ask', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast({ ...aimedAt, lostCommit: 'report' })
    const shot = aimed.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
    const error = await rejection(pool.query({ ...insert('reported'), transactional: true }))
    await shot.fired
    expect(error).toMatchObject({ commitOutcome: 'unknown' })
    expect(error).not.toBeInstanceOf(CommitOutcomeUnknownError)
    expect(await count(cluster, 'reported')).toBe(1)
  })
})

test('a signal may be the third argument, too', async ({ direct }) => {
  await using pool = holdfast(direct)
  const reason = new Error('the user has left')
  const signal = AbortSignal.abort(reason)
  expect(await rejection(pool.query('select 1', [], { signal }))).toBe(reason)
})

test.for([
  [{ idempotent: true, transactional: true }, /exclude each other/],
  [{ idempotent: 'yes' }, /`query.idempotent` must be one of true, false, got 'yes'/],
  [{ idempotnt: true }, /`query.idempotnt` is not an option, did you mean `idempotent`/],
  ['idempotent', /must be an object/],
] as const)('the options %o are refused', async ([options, problem], { direct }) => {
  await using pool = holdfast(direct)
  const error = await rejection(pool.query('select 1', [], options as object))
  expect(error).toBeInstanceOf(OptionsError)
  expect(error.message).toMatch(problem)
})

/** As sql-template-strings has it: the text comes from the class. */
class Template {
  readonly values = [7]
  get text(): string {
    return 'select $1::int as it'
  }
}

describe.for([{ idempotent: true }, { transactional: true }])('a statement with %o', (option) => {
  test('a statement with an option may have a class whose getter makes its text', async ({ direct }) => {
    await using pool = holdfast(direct)
    expect((await pool.query(Object.assign(new Template(), option))).rows).toEqual([{ it: 7 }])
    expect((await pool.query(new Template() as never, undefined, option)).rows).toEqual([{ it: 7 }])
    expect((await pool.query(new Template() as never, [8], option)).rows).toEqual([{ it: 8 }])
  })

  test('a statement with an option may be a frozen object with hidden values', async ({ direct }) => {
    await using pool = holdfast(direct)
    const config = Object.defineProperty({ text: 'select $1::int as it', ...option }, 'values', { value: [9] })
    expect((await pool.query(Object.freeze(config))).rows).toEqual([{ it: 9 }])
  })

  test('a statement may get the option from its class', async ({ direct }) => {
    class Marked extends Template {}
    for (const [name, value] of Object.entries(option))
      Object.defineProperty(Marked.prototype, name, { get: () => value })
    await using pool = holdfast(direct)
    expect((await pool.query(new Marked())).rows).toEqual([{ it: 7 }])
  })

  test('a statement with an option resolves, although its config has a callback', async ({ direct }) => {
    await using pool = holdfast(direct)
    const config = { text: 'select 1 as it', callback: () => {}, ...option }
    expect((await pool.query(config)).rows).toEqual([{ it: 1 }])
  })

  test('a statement with an option is refused by a client, which can not do that', async ({ direct }) => {
    await using pool = holdfast(direct)
    await using client = await pool.connect()
    const [name] = Object.keys(option)
    const config = { text: 'select 1 as one', ...option }
    const error = await rejection(client.query(config as never))
    expect(error).toBeInstanceOf(OptionsError)
    expect(error.message).toContain(`\`query.${name}\` works with \`pool.query\` only`)
    const told = new Promise((resolve) => {
      void client.query(config as never, resolve as never)
    })
    expect(await told).toBeInstanceOf(OptionsError)
    const inTransaction = pool.transaction((tx) => tx.query(config as never))
    expect(await rejection(inTransaction)).toBeInstanceOf(OptionsError)
    const off: object = { text: 'select 1 as one', [name as string]: false }
    expect((await client.query(off as { text: string })).rows).toEqual([{ one: 1 }])
  })
})

interface Told {
  readonly error: unknown
  readonly rows: unknown
  readonly tenant: unknown
}

const tenants = new AsyncLocalStorage<string>()

/** Runs it with a callback, and resolves with what that is told, and where. */
function called(query: (callback: (error: unknown, result?: { rows: unknown }) => void) => unknown): Promise<Told> {
  return new Promise((resolve, reject) => {
    tenants.run('the caller', () => {
      const returned = query((error, result) => resolve({ error, rows: result?.rows, tenant: tenants.getStore() }))
      if (returned !== undefined) reject(new Error('returned something beside the callback'))
    })
  })
}

describe('with a callback', () => {
  test('an idempotent statement with a callback is sent again when it is lost', async ({ aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: SELECT, point: 'on-reply' }, 'rst')
    const config = { text: "select 'once more' as it", idempotent: true }
    const told = await called((callback) => pool.query(config, callback as never))
    await shot.fired
    expect(told).toEqual({ error: undefined, rows: [{ it: 'once more' }], tenant: 'the caller' })
  })

  test('a transactional write with a callback is written once', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
    const config = { text: 'insert into entry values ($1) returning id', transactional: true }
    const told = await called((callback) => pool.query(config, ['called-back'], callback as never))
    await shot.fired
    expect(told).toEqual({ error: undefined, rows: [{ id: 'called-back' }], tenant: 'the caller' })
    expect(await count(cluster, 'called-back')).toBe(1)
  })

  test('an option that can not work is told to the callback', async ({ direct }) => {
    await using pool = holdfast(direct)
    const config = { text: 'select 1', idempotent: 'nonsense' as never }
    const { error, tenant } = await called((callback) => pool.query(config, callback as never))
    expect(error).toBeInstanceOf(OptionsError)
    expect(tenant).toBe('the caller')
  })

  test('an SQL error is told to the callback', async ({ direct }) => {
    await using pool = holdfast(direct)
    const config = { text: 'select 1 / 0', transactional: true }
    const { error, tenant } = await called((callback) => pool.query(config, callback as never))
    expect(error).toMatchObject({ code: '22012' })
    expect(tenant).toBe('the caller')
  })

  test('what the callback throws is an uncaught exception, and the callback is called once', async ({ direct }) => {
    await using pool = holdfast(direct)
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    try {
      const thrown = once(process, 'uncaughtException')
      let calls = 0
      const config = { text: 'select 1', transactional: true }
      void pool.query(config, (() => {
        calls++
        throw new RangeError('of the callback')
      }) as never)
      expect((await thrown)[0]).toBeInstanceOf(RangeError)
      await pool.query('select 1')
      expect(calls).toBe(1)
    } finally {
      for (const listener of others) process.on('uncaughtException', listener)
    }
  })
})
