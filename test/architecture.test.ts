import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, sep } from 'node:path'
import { describe, expect, test } from 'vitest'

/**
 * Who may import whom, in `packages/core/src`. Arrows point down only: calls go down, facts come up as return values.
 * Folders by name, files at the top by theirs; within a folder everyone may import everyone, but not in circles.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  index: [
    'pool',
    'null-pool',
    'pool-callers',
    'check-pool',
    'connection',
    'telemetry',
    'transaction',
    'sql',
    'policy',
    'runtime',
    'options',
    'errors',
  ],
  'null-pool': ['pool', 'options'],
  'check-pool': ['pool', 'errors'],
  pool: [
    'pool-callers',
    'compose',
    'engine',
    'connection',
    'transaction',
    'telemetry',
    'runtime',
    'options',
    'errors',
    'thrown',
  ],
  compose: ['engine', 'commit', 'transaction', 'connection', 'guard', 'telemetry', 'policy', 'runtime', 'options'],
  'pool-callers': ['engine', 'connection', 'runtime', 'options', 'errors', 'thrown'],
  transaction: [
    'engine',
    'connection',
    'driver',
    'telemetry',
    'sql',
    'policy',
    'runtime',
    'options',
    'errors',
    'thrown',
  ],
  commit: ['connection', 'driver', 'sql', 'policy', 'runtime', 'errors', 'thrown'],
  guard: ['commit', 'telemetry', 'policy', 'runtime', 'options', 'errors'],
  engine: ['connection', 'telemetry', 'policy', 'runtime', 'options', 'errors', 'thrown'],
  connection: ['commit', 'driver', 'sql', 'policy', 'runtime', 'options', 'errors', 'thrown'],
  driver: ['sql', 'policy', 'runtime', 'options', 'errors', 'thrown'],
  sql: [],
  telemetry: ['runtime', 'policy', 'options', 'errors', 'thrown'],
  policy: ['sql', 'options', 'errors', 'thrown'],
  runtime: ['options', 'errors', 'thrown'],
  options: ['errors', 'thrown'],
  errors: ['thrown'],
  thrown: [],
}

/** What each part may import from outside the package. Types of pg and Node are free: they vanish. */
const MAY_IMPORT_PACKAGES: Record<string, readonly string[]> = {
  pool: ['pg'],
  connection: ['pg', 'node:events'],
  commit: ['p-retry'],
  driver: ['pg', 'node:events', 'node:module', 'node:net', 'node:util'],
  engine: ['p-retry'],
  transaction: ['p-retry'],
  guard: ['node:cluster', 'node:os'],
  runtime: ['node:async_hooks', 'node:perf_hooks'],
  telemetry: ['node:diagnostics_channel'],
}

const SRC = join(import.meta.dirname, '../packages/core/src')
const LONGEST_FILE = 260

interface Import {
  readonly from: string
  readonly target: string
  readonly isType: boolean
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.split(sep).join('/'))
  .toSorted()
const sources = new Map(files.map((file) => [file, readFileSync(join(SRC, file), 'utf8')]))
const imports = files.flatMap(importsOf)

/** The imports and re-exports of a file; those within the package as paths from `src`. */
function importsOf(from: string): Import[] {
  const statements = textOf(from).matchAll(/^(?:import|export)\s+(?:([\w\s,*{}]+?)\s+from\s+)?'([^']+)'$/gm)
  return [...statements].map(([, clause = '', specifier = '']) => ({
    from,
    target: specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : specifier,
    isType: clause.startsWith('type ') || hasOnlyTypes(clause),
  }))
}

/** `{ type A, type B }` vanishes like `type { A, B }`. */
function hasOnlyTypes(clause: string): boolean {
  const names = /^\s*\{([^}]*)\}\s*$/
    .exec(clause)?.[1]
    ?.split(',')
    .map((name) => name.trim())
  return names?.filter(Boolean).every((name) => name.startsWith('type ')) ?? false
}

function textOf(file: string): string {
  return sources.get(file) ?? ''
}

/** The source without comments, in which words may stand that the code must not use. */
function codeOf(file: string): string {
  return textOf(file)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|\s)\/\/.*$/gm, '$1')
}

/** The folder of a file, or the name of one at the top. */
function partOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] as string) : file.replace(/\.ts$/, '')
}

const isOurs = ({ target }: Import): boolean => target.endsWith('.ts')
const show = ({ from, target }: Import): string => `${from} → ${target}`

/** A circle that begins and ends at this file, if it is on one. */
function circleFrom(start: string): string[] | undefined {
  const path: string[] = []
  const seen = new Set<string>()
  function reaches(file: string): boolean {
    path.push(file)
    for (const { target } of imports.filter((each) => each.from === file && isOurs(each))) {
      if (target === start) return true
      if (!seen.has(target)) {
        seen.add(target)
        if (reaches(target)) return true
      }
    }
    path.pop()
    return false
  }
  return reaches(start) ? [...path, start] : undefined
}

test('this test sees the sources and their imports', () => {
  expect(files.length).toBeGreaterThan(20)
  expect(imports.map(show)).toEqual(
    expect.arrayContaining([
      'engine/engine.ts → engine/wait-queue.ts',
      'index.ts → pool.ts',
      'engine/connect-scheduler.ts → p-retry',
    ]),
  )
})

test('every part of the package has its place on the map', () => {
  expect([...new Set(files.map(partOf))].filter((part) => !(part in MAY_IMPORT))).toEqual([])
})

test.each(Object.entries(MAY_IMPORT))('%s imports only from %s', (part, allowed) => {
  const forbidden = imports
    .filter((each) => isOurs(each) && partOf(each.from) === part)
    .filter(({ target }) => partOf(target) !== part && !allowed.includes(partOf(target)))
  expect(forbidden.map(show)).toEqual([])
})

test('of telemetry the engine knows the vocabulary, and no subscriber', () => {
  const forbidden = imports.filter(
    ({ from, target }) =>
      partOf(from) === 'engine' && partOf(target) === 'telemetry' && target !== 'telemetry/events.ts',
  )
  expect(forbidden.map(show)).toEqual([])
})

test('only those who must load a package do', () => {
  const forbidden = imports.filter(
    (each) => !isOurs(each) && !each.isType && !(MAY_IMPORT_PACKAGES[partOf(each.from)] ?? []).includes(each.target),
  )
  expect(forbidden.map(show)).toEqual([])
})

test('policies load nothing but each other and the errors: they are pure', () => {
  const loaded = imports.filter(({ from, isType }) => partOf(from) === 'policy' && !isType)
  const forbidden = loaded.filter(
    ({ target }) => !['policy', 'sql', 'errors', 'thrown'].includes(partOf(target)) || !target.endsWith('.ts'),
  )
  expect(forbidden.map(show)).toEqual([])
})

test('there are no circles', () => {
  expect(files.map(circleFrom).filter(Boolean)).toEqual([])
})

describe('time', () => {
  const TIME = /\b(?:Date\.now|new Date|performance\.|setTimeout|setInterval|setImmediate|hrtime|node:timers)\b/g
  const CHANCE = /\bMath\.random\b/g

  test.each([
    ['time or sets a timer', TIME],
    ['chance', CHANCE],
  ])('only runtime/clock.ts reads %s', (_what, pattern) => {
    expect(files.filter((file) => codeOf(file).match(pattern))).toEqual(['runtime/clock.ts'])
  })
})

describe('files', () => {
  test('are named after what is in them', () => {
    expect(files.filter((file) => /(?:^|\/)(?:utils?|helpers?|misc|common|shared|manager)\.ts$/.test(file))).toEqual([])
  })

  test(`have no more than ${LONGEST_FILE} lines of code, comments apart`, () => {
    const lengths = files.map(
      (file) =>
        [
          file,
          codeOf(file)
            .split('\n')
            .filter((line) => line.trim()).length,
        ] as const,
    )
    expect(lengths.filter(([, length]) => length > LONGEST_FILE)).toEqual([])
  })

  test('export by name', () => {
    expect(files.filter((file) => /^export\s+(?:\*|default\b)/m.test(codeOf(file)))).toEqual([])
  })

  test('import statically: what is loaded can be seen at the top', () => {
    expect(files.filter((file) => /\b(?:require|import)\s*\(/.test(codeOf(file)))).toEqual([])
  })
})

describe.each([
  ['drizzle', ['drizzle-orm', 'pg']],
  ['kysely', ['kysely', 'pg', 'pg-cursor']],
  ['typeorm', ['typeorm', 'pg']],
])('@holdfast/%s', (name, orm) => {
  const folder = join(SRC, '../..', name, 'src')
  const texts = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(folder, file), 'utf8'))
  const specifiers = texts.flatMap((text) => [...text.matchAll(/\bfrom '([^'.][^']*)'/g)].map(([, from = '']) => from))

  test('imports the core by its public name, its ORM, and nothing else', () => {
    const allowed = ['@holdfast/core', ...orm]
    const isAllowed = (from: string): boolean => allowed.some((each) => from === each || from.startsWith(`${each}/`))
    expect(specifiers.filter((from) => !isAllowed(from))).toEqual([])
  })

  test('has no loop, timer, SQL or error table of its own', () => {
    const code = texts.join('\n').replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
    expect(
      code.match(/\b(?:while|setTimeout|setInterval|p-retry)\b|\b(?:BEGIN|COMMIT|ROLLBACK)\b|'\d\d[0-9A-Z]{3}'/g),
    ).toBeNull()
  })
})

test('index.ts is a list of names, and nothing else', () => {
  const rest = codeOf('index.ts').replaceAll(/^export (?:type )?\{[^}]*\} from '[^']+'$/gm, '')
  expect(rest.trim()).toBe('')
})
