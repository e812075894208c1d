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
  ] as const)('%s: is sent again when its connection is lost', async ([, config, options], { aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: SELECT, point: 'on-reply' }, 'rst')
    const { rows } = options ? await pool.query(config.text, undefined, options) : await pool.query(config)
    await shot.fired
    expect(rows).toEqual([{ it: 'once more' }])
  })

  test('is not, without the option', async ({ aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: SELECT, point: 'on-reply' }, 'rst')
    const error = await rejection(pool.query("select 'once more'"))
    await shot.fired
    expect(error).toBeInstanceOf(ConnectionLostError)
  })

  test('rejects at once with its own errors', async ({ direct }) => {
    await using pool = holdfast(direct)
    expect(await rejection(pool.query('select 1 / 0', [], { idempotent: true }))).toMatchObject({ code: '22012' })
  })
})

describe('a write that must not run twice', () => {
  const insert = (id: string) => ({ text: 'insert into entry values ($1)', values: [id] })

  test('is written once, and said so, although its answer was lost', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
    const { rowCount } = await pool.query({ ...insert('exactly-once'), transactional: true })
    await shot.fired
    expect([rowCount, await count(cluster, 'exactly-once')]).toEqual([1, 1])
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('is written once, although it was lost on its way', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: /^insert/, point: 'on-reply' }, 'rst')
    await pool.query('insert into entry values ($1)', ['on-its-way'], { transactional: true })
    await shot.fired
    expect(await count(cluster, 'on-its-way')).toBe(1)
  })

  test('is reported as unknown where the pool does not ask', async ({ cluster, aimed, aimedAt }) => {
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
] as const)('%o is refused', async ([options, problem], { direct }) => {
  await using pool = holdfast(direct)
  const error = await rejection(pool.query('select 1', [], options as object))
  expect(error).toBeInstanceOf(OptionsError)
  expect(error.message).toMatch(problem)
})
