import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Lexer } from '../../../packages/core/src/sql/lexer.ts'
import { readSql, transactionControlIn } from '../../../packages/core/src/sql/statement.ts'
import { TEXTS_BY_HAND } from './oracle/corpus-by-hand.ts'
import { textsOfOrms } from './oracle/corpus-of-orms.ts'
import { textsOfThisRepository } from './oracle/corpus-of-this-repository.ts'
import { mutated } from './oracle/mutations.ts'
import { type Truth, tokensOf, truthOf } from './oracle/postgres.ts'

/**
 * The reader of SQL beside PostgreSQL's own parser (libpg-query). `npm test` takes the same mutations each time; `npm run
 * fuzz` takes many, and new ones. A failure prints a seed and a path, and
 *
 *     HOLDFAST_SEED=<seed> HOLDFAST_PATH=<path> npx vitest run --project unit test/unit/sql/oracle.test.ts
 *
 * replays it.
 */
const { HOLDFAST_RUNS, HOLDFAST_SEED, HOLDFAST_PATH } = process.env
const numRuns = Number(HOLDFAST_RUNS ?? 3000)
const seed = HOLDFAST_SEED ? Number(HOLDFAST_SEED) : HOLDFAST_RUNS ? undefined : 12_005

const ORMS = await textsOfOrms()
const CORPUS = [...new Set([...TEXTS_BY_HAND, ...ORMS.reads, ...ORMS.others, ...textsOfThisRepository()])].filter(
  (text) => truthOf(text) !== undefined,
)

/** What our reader says otherwise than PostgreSQL does, erring to the careful side. */
type Difference = 'statements' | 'mayCommit' | 'onlyRollsBack' | 'isLate' | 'returnsRows' | 'isSelect' | 'isRead'

/** How both read a text: dangerous differences are errors, careful ones are listed. */
function compare(text: string, truth: Truth): Difference[] {
  const ours = readSql(text)
  const controls = ours.statements.map(({ name }) => (isControl(name) ? name : '-'))
  const isSame = isAlike(controls, truth.controls)
  const returnsRows = !ours.isSure || ours.statements.some((each) => each.mayHaveRows)
  const [first = '-'] = truth.controls
  // Another BEGIN in a transaction changes nothing.
  const stays = ['-', 'begin', 'rollback to']
  const begins = first === 'begin' && truth.controls.every((each) => stays.includes(each))
  expect(
    {
      // Whether a text, or one statement of it, was taken for something else than it is.
      statements: ours.isSure && !isSame ? controls : truth.controls,
      mayCommit: truth.mayCommit && !ours.mayCommit,
      onlyRollsBack: ours.onlyRollsBack && !truth.onlyRollsBack,
      isLate: truth.isLate && !ours.isLate,
      returnsRows: truth.returnsRows && !returnsRows,
      isSelect: ours.isSelect && !truth.isSelect,
      isRead: ours.isRead && !truth.isRead,
      isInTransactionOfItsOwn: ours.isInTransactionOfItsOwn && !begins,
      isControl: ours.isSure && transactionControlIn(text) === undefined && isEnding(first),
    },
    text,
  ).toEqual({
    statements: truth.controls,
    mayCommit: false,
    onlyRollsBack: false,
    isLate: false,
    returnsRows: false,
    isSelect: false,
    isRead: false,
    isInTransactionOfItsOwn: false,
    isControl: false,
  })
  const differs: Record<Difference, boolean> = {
    statements: controls.join() !== truth.controls.join(),
    mayCommit: ours.mayCommit !== truth.mayCommit,
    onlyRollsBack: ours.onlyRollsBack !== truth.onlyRollsBack,
    isLate: ours.isLate !== truth.isLate,
    returnsRows: returnsRows !== truth.returnsRows,
    isSelect: ours.isSelect !== truth.isSelect,
    isRead: ours.isRead !== truth.isRead,
  }
  return (Object.keys(differs) as Difference[]).filter((each) => differs[each])
}

/** A statement of the name `transaction` may be taken for PREPARE TRANSACTION, which is the careful side. */
function isAlike(ours: readonly string[], theirs: readonly string[]): boolean {
  const isAlso = (name: string | undefined, index: number): boolean =>
    name === theirs[index] || (name === 'prepare transaction' && theirs[index] === '-')
  return ours.length === theirs.length && ours.every(isAlso)
}

function isControl(name: string): boolean {
  return /^(?:begin|commit.*|rollback.*|prepare transaction)$/.test(name)
}

/** A control of transactions that isn't for the function of one. */
function isEnding(control: string): boolean {
  return control !== '-' && control !== 'rollback to'
}

/** At most so many of a thousand texts may differ in this, to the careful side; of few texts always three. */
function tooMany(differences: readonly Difference[][], limits: Record<Difference, number>): string[] {
  const most = (each: Difference): number => 3 + Math.ceil((limits[each] * differences.length) / 1000)
  const found = (each: Difference): number => differences.filter((all) => all.includes(each)).length
  const facts = Object.keys(limits) as Difference[]
  const over = facts.filter((each) => found(each) > most(each))
  return over.map((each) => `${each}: ${found(each)} of ${differences.length}, limit ${most(each)}`)
}

describe('the texts that were gathered', { timeout: 60_000 }, () => {
  test('at least 2000 gathered texts are taken by PostgreSQL', () => {
    expect(CORPUS.length).toBeGreaterThanOrEqual(2000)
  })

  test('the gathered texts are read as PostgreSQL reads them, or more carefully, and seldom that', () => {
    const differences = CORPUS.map((text) => compare(text, truthOf(text) as Truth))
    expect(
      tooMany(differences, {
        statements: 1,
        mayCommit: 1,
        onlyRollsBack: 0,
        isLate: 1,
        returnsRows: 3,
        isSelect: 1,
        isRead: 6,
      }),
    ).toEqual([])
  })

  test('all SELECTs of the ORMs that only read are plain reads', () => {
    expect(ORMS.reads.length).toBeGreaterThan(400)
    expect(ORMS.reads.filter((text) => !truthOf(text)?.isRead)).toEqual([])
    expect(ORMS.reads.filter((text) => !readSql(text).isRead)).toEqual([])
  })

  test('no other statement of the ORMs is a plain read', () => {
    expect(ORMS.others.length).toBeGreaterThan(150)
    expect(ORMS.others.filter((text) => readSql(text).isRead)).toEqual([])
  })

  test('the gathered texts have their tokens where PostgreSQL has them', () => {
    for (const text of CORPUS) expect(ourTokens(text), text).toEqual(theirTokens(text))
  })
})

test('mutations of the gathered texts are read as PostgreSQL reads them, or more carefully, and seldom that', {
  timeout: 60_000 + numRuns * 10,
}, () => {
  const differences: Difference[][] = []
  const property = fc.property(mutated(CORPUS), (text) => {
    expect(ourTokens(text) ?? theirTokens(text)).toEqual(theirTokens(text) ?? ourTokens(text))
    const truth = truthOf(text)
    if (truth) differences.push(compare(text, truth))
  })
  fc.assert(property, {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(HOLDFAST_PATH && { path: HOLDFAST_PATH }),
  })
  // What PostgreSQL refuses says nothing: enough must be left.
  expect(differences.length).toBeGreaterThan(numRuns * 0.3)
  expect(
    tooMany(differences, {
      statements: 15,
      mayCommit: 10,
      onlyRollsBack: 2,
      isLate: 20,
      returnsRows: 20,
      isSelect: 10,
      isRead: 20,
    }),
  ).toEqual([])
})

/**
 * Where each token begins and ends; operators of several characters may be cut in two by PostgreSQL where they end with a
 * sign, so neighbours of that kind count as one. Undefined where a quote or a comment never closes.
 */
function ourTokens(text: string): string[] | undefined {
  const lexer = new Lexer(text, false)
  const tokens: [number, number][] = []
  while (lexer.next() !== 'end') tokens.push([lexer.start, lexer.end])
  return lexer.unclosed === undefined ? joined(text, tokens) : undefined
}

/** PostgreSQL counts bytes. */
function theirTokens(text: string): string[] | undefined {
  const bytes = Buffer.from(text)
  const toIndex = (offset: number): number => bytes.subarray(0, offset).toString().length
  const tokens = tokensOf(text)
  return (
    tokens &&
    joined(
      text,
      tokens.map(([start, end]) => [toIndex(start), toIndex(end)]),
    )
  )
}

/** The tokens as they are written; neighbours without a space between them in one, unless they are quoted or a semicolon. */
function joined(text: string, tokens: readonly (readonly [number, number])[]): string[] {
  const written: string[] = []
  let lastEnd = -1
  for (const [start, end] of tokens) {
    const token = text.slice(start, end)
    const isPlain = /^[^'";$]*$/.test(token)
    const last = written.at(-1)
    if (isPlain && last !== undefined && start === lastEnd && /^[^'";$]*$/.test(last))
      written[written.length - 1] = last + token
    else written.push(token)
    lastEnd = end
  }
  return written
}
