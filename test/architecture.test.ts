import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CORE, type Import, importsIn, isOurs, partOf, readSources } from '../scripts/sources.ts'

/**
 * The parts of `packages/core/src`, from top to bottom. A part may import those below it. Calls go down; facts come up as
 * return values. Within a part every file may import every other one, but not in circles.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['index', 'opentelemetry', 'doctor'],
  ['null-pool', 'shared-pool', 'check-pool', 'measure', 'plain-reads'],
  ['pool'],
  ['compose', 'foreign-connect', 'pool-health', 'pool-listen', 'pool-query'],
  ['pool-callers'],
  ['replicas'],
  ['engine', 'transaction', 'guard', 'listen'],
  ['multiplex'],
  ['rerun'],
  ['connect'],
  ['connection'],
  ['user-client'],
  ['watch'],
  ['commit', 'driver'],
  ['telemetry', 'policy', 'sql', 'runtime'],
  ['options'],
  ['errors'],
  ['thrown'],
]

/** Arrows within one layer. */
const MAY_IMPORT_BESIDE: readonly string[] = ['telemetry → policy', 'telemetry → runtime', 'policy → sql']

/** What lies below a part, and must stay unknown to it. */
const MUST_NOT_KNOW: Record<string, readonly string[]> = {
  pool: ['commit', 'driver', 'sql', 'policy', 'guard'],
  engine: ['commit', 'driver', 'sql'],
  transaction: ['commit'],
  sql: ['options', 'errors', 'thrown'],
}

/** What each part may import from outside the package. Types of pg and Node are free: they vanish. */
const MAY_IMPORT_PACKAGES: Record<string, readonly string[]> = {
  pool: ['pg'],
  connection: ['pg', 'node:events'],
  'user-client': ['pg'],
  commit: ['p-retry'],
  driver: ['pg', 'node:crypto', 'node:events', 'node:module', 'node:net', 'node:util'],
  engine: ['p-retry'],
  transaction: ['p-retry'],
  guard: ['node:cluster', 'node:os'],
  'shared-pool': ['node:util'],
  // Itself, as its users load it, so that there is one copy. Of OpenTelemetry only types.
  opentelemetry: ['@holdfast/core', '@opentelemetry/api'],
  doctor: ['@holdfast/core', 'node:util'],
  runtime: ['node:async_hooks', 'node:perf_hooks'],
  telemetry: ['node:diagnostics_channel'],
}

const LONGEST_FILE = 260
const LONGEST_CLASS = 250
const LONGEST_ENGINE_CONSTRUCTOR = 40
const SHORTEST_FILE = 15

const sources = readSources(CORE)
const files = [...sources.keys()]
const imports = importsIn(sources)

function textOf(file: string): string {
  return sources.get(file) ?? ''
}

/** The source without its comments. */
function codeOf(file: string): string {
  return textOf(file)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|\s)\/\/.*$/gm, '$1')
}

const show = ({ from, target }: Import): string => `${from} → ${target}`

/** A circle of imports that begins and ends at this file, if there is one. */
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

test('this test reads the sources and their imports', () => {
  expect(files.length).toBeGreaterThan(20)
  expect(imports.map(show)).toEqual(
    expect.arrayContaining([
      'engine/engine.ts → engine/wait-queue.ts',
      'index.ts → pool.ts',
      'engine/connect-scheduler.ts → p-retry',
    ]),
  )
})

test('every part of the package has its place in the layers', () => {
  expect([...new Set(files.map(partOf))].toSorted()).toEqual(LAYERS.flat().toSorted())
})

test.each(LAYERS.flat())('%s imports only from the layers below, and nothing that it must not know', (part) => {
  const forbidden = imports
    .filter((each) => isOurs(each) && partOf(each.from) === part)
    .filter(({ target }) => !mayImport(part, partOf(target)))
  expect(forbidden.map(show)).toEqual([])
})

function mayImport(part: string, other: string): boolean {
  const arrow = `${part} → ${other}`
  if (part === other || MAY_IMPORT_BESIDE.includes(arrow)) return true
  return layerOf(other) > layerOf(part) && !(MUST_NOT_KNOW[part] ?? []).includes(other)
}

function layerOf(part: string): number {
  return LAYERS.findIndex((layer) => layer.includes(part))
}

test('the engine knows the events of telemetry, and no subscriber', () => {
  const forbidden = imports.filter(
    ({ from, target }) =>
      partOf(from) === 'engine' && partOf(target) === 'telemetry' && target !== 'telemetry/events.ts',
  )
  expect(forbidden.map(show)).toEqual([])
})

test('only the parts that need a package load it', () => {
  const forbidden = imports.filter(
    (each) => !isOurs(each) && !each.isType && !(MAY_IMPORT_PACKAGES[partOf(each.from)] ?? []).includes(each.target),
  )
  expect(forbidden.map(show)).toEqual([])
})

test('policies are pure: they load only each other, the reader of SQL and the errors', () => {
  const loaded = imports.filter(({ from, isType }) => partOf(from) === 'policy' && !isType)
  const forbidden = loaded.filter(
    ({ target }) => !['policy', 'sql', 'errors', 'thrown'].includes(partOf(target)) || !target.endsWith('.ts'),
  )
  expect(forbidden.map(show)).toEqual([])
})

test('no file imports itself through others', () => {
  expect(files.map(circleFrom).filter(Boolean)).toEqual([])
})

test('only driver/ names what is private to pg', () => {
  const PRIVATE = new RegExp(
    [
      '\\b_(?:queryQueue|pulseQueryQueue|activeQuery|getActiveQuery|queryable|ending|events|handle[A-Z]\\w+)\\b',
      '\\b(?:internalsOf|readyForQuery|secretKey|processID|connectionParameters|parsedStatements|submittedNamedStatements)\\b',
      "'(?:errorMessage|parameterStatus|parseComplete|bindComplete|backendKeyData)'",
      '\\b(?:attachListeners|upgradeToSSL|requestSsl)\\b',
    ].join('|'),
  )
  expect(files.filter((file) => PRIVATE.test(codeOf(file)) && partOf(file) !== 'driver')).toEqual([])
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
  test('files are named after what is in them', () => {
    expect(files.filter((file) => /(?:^|\/)(?:utils?|helpers?|misc|common|shared|manager)\.ts$/.test(file))).toEqual([])
  })

  test(`files have no more than ${LONGEST_FILE} lines of code, comments apart`, () => {
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

  test(`files have ${SHORTEST_FILE} lines or more`, () => {
    const isSmall = (file: string): boolean => linesIn(textOf(file)) < SHORTEST_FILE
    expect(files.filter(isSmall)).toEqual([])
  })

  test('files export by name', () => {
    expect(files.filter((file) => /^export\s+(?:\*|default\b)/m.test(codeOf(file)))).toEqual([])
  })

  test('files import statically, so that the top of a file shows what it loads', () => {
    expect(files.filter((file) => /\b(?:require|import)\s*\(/.test(codeOf(file)))).toEqual([])
  })
})

describe('sizes', () => {
  test('no folder has more than a fifth of the lines', () => {
    const folders = new Set(files.filter((file) => file.includes('/')).map(partOf))
    const linesOf = (some: readonly string[]): number => some.reduce((sum, file) => sum + linesIn(textOf(file)), 0)
    const isLarge = (folder: string): boolean =>
      linesOf(files.filter((file) => partOf(file) === folder)) > linesOf(files) / 5
    expect([...folders].filter(isLarge)).toEqual([])
  })

  test(`no class has more than ${LONGEST_CLASS} lines, comments included`, () => {
    const large = files.flatMap(classesIn).filter(({ lines }) => lines > LONGEST_CLASS)
    expect(large).toEqual([])
  })

  test(`the constructor of the engine has fewer than ${LONGEST_ENGINE_CONSTRUCTOR} lines`, () => {
    const [, body = ''] = /^ {2}constructor\((.*?)^ {2}\}$/ms.exec(textOf('engine/engine.ts')) ?? []
    expect(body).not.toBe('')
    expect(linesIn(body) + 1).toBeLessThan(LONGEST_ENGINE_CONSTRUCTOR)
  })
})

interface Class {
  readonly name: string
  readonly lines: number
}

/** The classes in a file, from the first line of their docstring to their closing brace. */
function classesIn(file: string): Class[] {
  const classes = textOf(file).matchAll(
    /^(?:\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?( *)(?:export |return )?(?:abstract )?class (\w+).*?^\1\}$/gms,
  )
  return [...classes].map(([text, , name = '']) => ({ name, lines: linesIn(text) }))
}

function linesIn(text: string): number {
  return text.trimEnd().split('\n').length
}

describe.each([
  ['drizzle', ['drizzle-orm', 'pg']],
  ['kysely', ['kysely', 'pg', 'pg-cursor']],
  ['typeorm', ['typeorm', 'pg']],
])('@holdfast/%s', (name, orm) => {
  const texts = [...readSources(join(CORE, '../..', name, 'src')).values()]
  const specifiers = texts.flatMap((text) => [...text.matchAll(/\bfrom '([^'.][^']*)'/g)].map(([, from = '']) => from))

  test('an adapter imports the core by its public name, its ORM, and nothing else', () => {
    const allowed = ['@holdfast/core', ...orm]
    const isAllowed = (from: string): boolean => allowed.some((each) => from === each || from.startsWith(`${each}/`))
    expect(specifiers.filter((from) => !isAllowed(from))).toEqual([])
  })

  test('an adapter has no loop, timer, SQL or error table of its own', () => {
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
