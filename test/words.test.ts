import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readSources } from '../scripts/sources.ts'

/**
 * One word per concept: the glossary of `docs/architecture.md` says which. The words here are the ones that it replaces;
 * each is looked for as a word of its own within an identifier, so `lend` is found in `lendClient` and not in `calendar`.
 */
const BANNED_IN_IDENTIFIERS: readonly string[] = [
  'accompany',
  'attune',
  'calls',
  'checkups',
  'departures',
  'distrust',
  'exchange',
  'flaw',
  'gate',
  'hand',
  'hear',
  'heard',
  'lend',
  'lent',
  'presend',
  'returns',
  'testimony',
  'wishes',
  'witness',
]

/** Ordinary words that mean one thing here: where they may stand. */
const ONLY_IN: Record<string, RegExp> = {
  // One run of a transaction or of a statement. A try to connect is an opening, or a login.
  attempt: /^(?!.*\/(?:connect-scheduler|logins?)\.ts$)/,
  // The question for a transaction's id, which a statement may carry.
  probe: /\/commit\/|\/(?:statement|enclosed)-run\.ts$|\/tracked-session\.ts$/,
  // What became of a COMMIT; the one that asks for it is the record of the loss.
  settle: /\/commit\/|\/loss-record\.ts$/,
}

/** Words that make a reader guess. Each is looked for in comments. */
const BANNED_IN_COMMENTS: readonly string[] = [
  'accompany',
  'anew',
  'attune',
  'but for',
  'checkups',
  'departures',
  'distrust',
  'flaw',
  'for ever',
  'he',
  'him',
  'himself',
  'his',
  'in line',
  'lend',
  'lends',
  'lent',
  'lest',
  'nobody',
  'presend',
  'somebody',
  'testimony',
  'whoever',
  'whom',
  'wishes',
  'witness',
]

/** Names of helpers of tests that say nothing of what they do. */
const BANNED_IN_TESTS: readonly string[] = ['scene', 'rig', 'visit', 'ledger', 'lookout', 'weather', 'wrongs', 'lane']

const REPOSITORY = join(import.meta.dirname, '..')
const PACKAGES = readAll(['packages/core/src', 'packages/drizzle/src', 'packages/kysely/src', 'packages/typeorm/src'])
const TESTS = readAll(['test'])
TESTS.delete('test/words.test.ts')

function readAll(folders: readonly string[]): Map<string, Text> {
  const texts = folders.flatMap((folder) =>
    [...readSources(join(REPOSITORY, folder))].map(([file, text]) => [`${folder}/${file}`, parse(text)] as const),
  )
  return new Map(texts.filter(([file]) => !file.includes('/node_modules/') && !file.includes('/dist/')))
}

interface Text {
  /** Each word of each identifier, in lower case. */
  readonly words: readonly string[]
  readonly comments: string
}

/** What stands outside of literals, told apart. */
function parse(text: string): Text {
  const tokens = text.matchAll(
    /(?<comment>\/\*[\s\S]*?\*\/|\/\/.*)|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[[(,=:!&|?;{}]\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/|(?<name>[A-Za-z_$][\w$]*)/g,
  )
  const words: string[] = []
  const comments: string[] = []
  for (const { groups } of tokens) {
    if (groups?.comment) comments.push(groups.comment.replaceAll(/\n\s*(?:\*|\/\/) ?/g, ' '))
    if (groups?.name) words.push(...(groups.name.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? []))
  }
  return { words: words.map((word) => word.toLowerCase()), comments: comments.join('\n') }
}

function findWord(texts: ReadonlyMap<string, Text>, word: string): string[] {
  return [...texts].flatMap(([file, { words }]) => words.filter((each) => each === word).map(() => file))
}

function findInComments(word: string): string[] {
  return [...PACKAGES].flatMap(([file, { comments }]) =>
    [...comments.matchAll(new RegExp(`.{0,30}\\b${word}\\b.{0,30}`, 'gi'))].map(([found]) => `${file}: ${found}`),
  )
}

test.each(BANNED_IN_IDENTIFIERS)("no identifier has the word '%s'", (word) => {
  expect(findWord(PACKAGES, word)).toEqual([])
})

test.each(Object.entries(ONLY_IN))(
  "an identifier has the word '%s' only where it has its one meaning",
  (word, place) => {
    const elsewhere = findWord(PACKAGES, word).filter((file) => !place.test(file))
    expect(elsewhere).toEqual([])
  },
)

test.each(BANNED_IN_COMMENTS)("no comment says '%s'", (word) => {
  expect(findInComments(word)).toEqual([])
})

test.each(BANNED_IN_TESTS)("no identifier of a test has the word '%s'", (word) => {
  expect(findWord(TESTS, word)).toEqual([])
})

test('the glossary names every word that is banned for a better one', () => {
  const glossary = readFileSync(join(REPOSITORY, 'docs/architecture.md'), 'utf8').split('\n## Glossary\n')[1] ?? ''
  expect(BANNED_IN_IDENTIFIERS.filter((word) => !new RegExp(`\\b${word}\\b`).test(glossary))).toEqual([])
})

test('this test reads identifiers and comments', () => {
  expect(findWord(PACKAGES, 'connection').length).toBeGreaterThan(100)
  expect(findInComments('caller').length).toBeGreaterThan(100)
  expect(findWord(TESTS, 'cluster').length).toBeGreaterThan(100)
})
