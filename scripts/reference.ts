import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OPTIONS } from '../packages/core/src/options/option-table.ts'
import {
  classesOf,
  type Docstring,
  type Documented,
  eventsOf,
  literalsOf,
  type Member,
  membersOf,
} from './docstrings.ts'

const OPTION_COLUMNS = ['option', 'type', 'default', 'meaning']
const ROOT = join(import.meta.dirname, '..')
const SRC = join(ROOT, 'packages/core/src')

/** Where `npm run reference` writes to. */
export const REFERENCE = 'docs/reference.md'

/**
 * The text of docs/reference.md. The descriptions are the docstrings of the sources, the defaults are those that the pool
 * uses.
 */
export async function referenceFile(): Promise<string> {
  const optionSource = await textOf('options/pool-options.ts')
  const eventSource = await textOf('telemetry/events.ts')
  const callSource = await textOf('options/call-options.ts')
  const errorFiles = (await readdir(SRC, { recursive: true })).filter((file) => /^errors\b.*\.ts$/.test(file))
  const errorSources = await Promise.all(errorFiles.toSorted().map(textOf))
  return `<!-- Written by \`npm run reference\` from the sources. Don't edit it. -->

# Reference

Look up an [option](#options), an [error](#errors), an [event](#events), or the [reason](#retire-reasons) why a connection
left the pool.

## Options

What \`new Pool({ … })\` takes besides the [options of pg.Pool](https://node-postgres.com/apis/pool), which mean the same here.
Options that can't work are refused when the pool is made, by an \`OptionsError\` that names every problem.

${table([...OPTION_COLUMNS, 'why this default'], poolOptionRows(optionSource))}

### Options of the ping

What \`prePing\` takes.

${table(OPTION_COLUMNS, optionRows(optionSource, 'PrePingOptions', OPTIONS.prePing.default))}

### Options of retries

What \`connectRetry\` of a pool and [\`retry\` of a transaction](transactions.md#options) take.

${table(OPTION_COLUMNS, optionRows(optionSource, 'RetryOptions', OPTIONS.connectRetry.default))}

### Options of one caller

What \`pool.connect({ … })\` and \`withPoolOptions({ … }, work)\` take, and \`pool.transaction(fn, { … })\` beside
[its own](transactions.md#options). They hold for that caller only.

${table(OPTION_COLUMNS, membersOf(callSource, 'AcquireOptions').map(optionRow))}

## Errors

All are a \`HoldfastError\`, and have a \`code\` that stays the same from version to version. \`isDisconnect(error)\` and \`isRetryable(error)\` look at \`cause\` too (and at TypeORM's \`driverError\`),
so they work with the errors of an ORM.

${table(['class', '`code`', 'when'], errorSources.flatMap(errorRows))}

## Events

Each event is published on a channel of its own of [\`node:diagnostics_channel\`](observability.md#diagnostics-channels). Besides
the fields in this table, each message has \`type\` (the channel's name after \`holdfast:\`) and \`pool\` (\`{ name }\`). Durations
are milliseconds.

${table(['channel', 'when', 'fields'], eventRows(eventSource))}

## Retire reasons

The \`reason\` of \`connection-retired\`: why a connection left the pool.

${table(
  ['reason', 'when'],
  literalsOf(await textOf('policy/retirement.ts'), 'RetireReason').map(({ name, doc }) => [code(name), cell(doc)]),
)}
`
}

/** A row for each option of the pool. The docstring and the table must have the same default. */
function poolOptionRows(source: string): string[][] {
  const defaults = Object.fromEntries(Object.entries(OPTIONS).map(([option, entry]) => [option, entry.default]))
  const reasons = Object.values(OPTIONS).map(({ reason = '' }) => reason)
  return optionRows(source, 'OwnOptions', defaults).map((row, index) => [...row, reasons[index] ?? ''])
}

function optionRows(source: string, name: string, defaults: Readonly<Record<string, unknown>>): string[][] {
  const members = membersOf(source, name)
  if (members.map((member) => member.name).join() !== Object.keys(defaults).join())
    throw new Error(`${name} and its defaults must have the same keys, in the same order`)
  for (const { name: option, doc } of members) {
    const documented = doc.tags.get('default')
    const actual = defaults[option]
    if (actual !== undefined && documented !== literal(actual))
      throw new Error(`${name}.${option}: the docstring says ${documented}, the default is ${literal(actual)}`)
  }
  return members.map(optionRow)
}

function optionRow({ name, type, doc }: Member): string[] {
  const value = doc.tags.get('default') ?? 'undefined'
  return [code(name), code(type), value.startsWith('the ') ? value : code(value), cell(doc)]
}

function errorRows(source: string): string[][] {
  return classesOf(source)
    .filter(({ base }) => /Error$/.test(base) && base !== 'Error')
    .map(({ name, doc, body }) => [code(name), codeIn(name, body), cell(doc)])
}

/** The code that a class gives its errors. */
function codeIn(name: string, body: string): string {
  const [, fixed, causes, fallback] =
    /override readonly code = '(\w+)'|super\(\s*(codeOf\([\w.]+\) \?\? )?'(\w+)'/.exec(body) ?? []
  if (fixed === undefined && fallback === undefined) throw new Error(`${name}: no code found`)
  return fixed !== undefined ? code(fixed) : `${causes ? "the cause's own, else " : ''}${code(`${fallback}`)}`
}

function eventRows(source: string): string[][] {
  return eventsOf(source, 'PoolEvent').map(({ name, doc, fields }) => [
    code(`holdfast:${name}`),
    cell(doc),
    fields.map(fieldCell).join('<br>'),
  ])
}

function fieldCell({ name, doc }: Documented): string {
  return doc.text === '' ? code(name) : `${code(name)}: ${cell(doc)}`
}

/** A value as it is written in the docstrings and in a program: `10_000`, `'all'`, `{ retries: Infinity }`. */
function literal(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'number' && Number.isInteger(value) && value >= 10_000)
    return String(value).replaceAll(/\B(?=(?:\d{3})+$)/g, '_')
  if (typeof value !== 'object' || value === null) return String(value)
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${key}: ${literal(inner)}`)
    .join(', ')} }`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function code(text: string): string {
  return `\`${text.replaceAll('|', String.raw`\|`)}\``
}

/** A docstring in one cell of a table: its paragraphs and list items are lines of their own. */
function cell({ text, tags }: Docstring): string {
  const blocks = text.split(/\n\n|\n(?=- )/).map((block) => oneLine(block).replace(/^- /, '• '))
  const [, url] = /^(https:\S+)/.exec(tags.get('see') ?? '') ?? []
  return `${blocks.join('<br>').replaceAll('|', String.raw`\|`)}${url ? ` [More](${url})` : ''}`
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}

function textOf(file: string): Promise<string> {
  return readFile(join(SRC, file), 'utf8')
}

if (import.meta.main) await writeFile(join(ROOT, REFERENCE), await referenceFile())
