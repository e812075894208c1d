import fc from 'fast-check'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { splitStatements } from '../../packages/core/src/sql/split-statements.ts'
import { readSql } from '../../packages/core/src/sql/statement.ts'
import { test } from '../faults/support/fault-test.ts'

/** Of these, texts are made at random: nothing that a server could do with them does any harm. */
const PIECES = [
  "'",
  "'",
  "''",
  '\\',
  "\\'",
  " e'",
  "E'",
  " u&'",
  " b'",
  " x'",
  " n'",
  'a',
  '1',
  '"',
  ' ',
  '\n',
  '\r',
  '--',
  '/*',
  '*/',
  '$$',
  '$a$',
  '; select ',
  ', ',
  '||',
]
const texts = fc
  .array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 14 })
  .map((all) => `select ${all.join('')}`)

/** How many statements the server finds in a text; undefined if it refuses it. */
async function statementsFor(client: pg.Client, text: string): Promise<number | undefined> {
  try {
    const result: pg.QueryResult | pg.QueryResult[] = await client.query(text)
    return Array.isArray(result) ? result.length : 1
  } catch {
    return undefined
  }
}

describe.each(['on', 'off'])('with standard_conforming_strings = %s', (setting) => {
  test('literals end where the server has them end', { timeout: 120_000 }, async ({ cluster, direct }) => {
    const client = new pg.Client({ ...direct })
    await client.connect()
    let taken = 0
    try {
      await client.query(`set standard_conforming_strings = ${setting}; set escape_string_warning = off`)
      const property = fc.asyncProperty(texts, async (text) => {
        const count = await statementsFor(client, text)
        if (count === undefined) return
        taken++
        const { statements, unclosed } = splitStatements(text, setting === 'off')
        expect([statements.length, unclosed]).toEqual([count, undefined])
        const sure = readSql(text)
        if (sure.isSure) expect(sure.statements.length).toBe(count)
      })
      await fc.assert(property, { numRuns: 3000, seed: 12_005 })
    } finally {
      await client.end()
    }
    expect(taken).toBeGreaterThan(100)
    expect(await cluster.query('select 1 as alive')).toEqual([{ alive: 1 }])
  })

  test.for([
    ["select 'a'\n'b'; select 1", 2],
    ["select 'a' -- on\n'b'; select 1", 2],
    ["select 'a' -- it's\r 'b'; select 1", 2],
    ["select e'a' -- on\n -- and on\n'\\'; select 1'", 1],
    ["select e'a'\n\t'\\'; select 1'; select 2", 2],
    ["select b'1'\n'0'; select 1", 2],
    ['select 1 as a$b$; select 2 as a$b$', 2],
    ['select $a$; $$; select $a $b$a$', 1],
    ['select 1 -- a\r; select 2', 2],
    ['select 1 /* /* ; */ ; */; select 2', 2],
    ['; ; select 1;;', 1],
  ] as const)('%j has %i statements', async ([text, count], { direct }) => {
    const client = new pg.Client({ ...direct })
    await client.connect()
    try {
      await client.query(`set standard_conforming_strings = ${setting}; set escape_string_warning = off`)
      expect(await statementsFor(client, text)).toBe(count)
      expect(splitStatements(text, setting === 'off').statements.length).toBe(count)
    } finally {
      await client.end()
    }
  })
})
