import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runInThisContext } from 'node:vm'
import * as core from '@holdfast/core'
import { describe, expect, test } from 'vitest'
import { OPTIONS } from '../../packages/core/src/options/option-table.ts'
import { REFERENCE, referenceFile } from '../../scripts/reference.ts'
import { DOCUMENTS, REPOSITORY, rowsOf, sectionOf, textOf } from './support/documents.ts'

const DEFAULTS = Object.fromEntries(Object.entries(OPTIONS).map(([option, entry]) => [option, entry.default]))
/** Options without a default of their own: the value of another option, or what holds without `HOLDFAST_ECHO`. */
const OTHERS = { maxIdle: OPTIONS.max.default, echo: false }

const nameIn = (cell = ''): string => cell.replaceAll(/[*`]/g, '')
const valueIn = (cell = ''): unknown => runInThisContext(`({ max }) => (${nameIn(cell)})`)(DEFAULTS)

test('the reference is what `npm run reference` writes', async () => {
  expect(await textOf(REFERENCE), 'Run `npm run reference`').toBe(await referenceFile())
})

test('the reference has every option of the pool, with its default', async () => {
  const rows = rowsOf(sectionOf(await textOf(REFERENCE), '## Options'))
  const documented = Object.fromEntries(rows.map(([option, , value]) => [nameIn(option), valueIn(value)]))
  expect(documented).toEqual({ ...DEFAULTS, ...OTHERS })
  expect(rows.map(([option]) => nameIn(option)).toSorted()).toEqual(Object.keys({ ...DEFAULTS, ...OTHERS }).toSorted())
})

test('the reference has every error, with its code', async () => {
  const rows = rowsOf(sectionOf(await textOf(REFERENCE), '## Errors'))
  const classes = Object.keys(core).filter((name) => name.endsWith('Error') && name !== 'HoldfastError')
  expect(rows.map(([name]) => nameIn(name)).toSorted()).toEqual(classes.toSorted())
  const source = await errorSource()
  for (const [name, codes] of rows) {
    const [, body = ''] = source.split(`export class ${nameIn(name)} extends`)
    const [, code] = codes?.match(/`([^`]+)`$/) ?? []
    expect([name, body.split('\nexport class')[0]?.includes(`'${code}'`)]).toEqual([name, true])
  }
})

test('the reference has every event', async () => {
  const channels = rowsOf(sectionOf(await textOf(REFERENCE), '## Events')).map(([channel]) => nameIn(channel))
  const described = rowsOf(sectionOf(await textOf('docs/observability.md'), '## Diagnostics channels'))
  const names = described.map(([channel]) => nameIn(channel)).filter((name) => name.startsWith('holdfast:'))
  expect(channels.toSorted()).toEqual(names.toSorted())
})

/** The sources of all error classes. */
async function errorSource(): Promise<string> {
  const files = await readdir(new URL('packages/core/src/', REPOSITORY), { recursive: true })
  const sources = files
    .filter((file) => /^errors\b.*\.ts$/.test(file))
    .map((file) => textOf(`packages/core/src/${file}`))
  return (await Promise.all(sources)).join('\n')
}

test('the map of the architecture has every file of the engine, of connect, the connection, the driver and of commit', async () => {
  const text = await textOf('docs/architecture.md')
  for (const [heading, folder] of [
    ['### In the engine', 'engine'],
    ['### In the connection', 'connection'],
    ['### In connect', 'connect'],
    ['### In the driver', 'driver'],
    ['### What became of a COMMIT', 'commit'],
  ] as const) {
    const named = rowsOf(sectionOf(text, heading)).flatMap(([files = '']) => files.split(', ').map(nameIn))
    const files = await readdir(new URL(`packages/core/src/${folder}/`, REPOSITORY))
    expect(named.toSorted()).toEqual(files.map((file) => file.replace('.ts', '')).toSorted())
  }
})

describe.each(DOCUMENTS)('%s', (document) => {
  test('the document names only commands that there are', async () => {
    const { scripts } = JSON.parse(await textOf('package.json')) as { scripts: Record<string, string> }
    const named = [...(await textOf(document)).matchAll(/\bnpm (?:run ([\w:-]+)|(start|test))\b/g)]
    expect(named.map(([, script, short]) => script ?? short).filter((name) => !(`${name}` in scripts))).toEqual([])
  })

  test('the document links only to what there is', async () => {
    const links = [...(await textOf(document)).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
    const broken: string[] = []
    for (const [link, path = '', anchor] of links) {
      const target = path === '' ? document : join(dirname(document), path)
      const text = await readFile(new URL(target, REPOSITORY), 'utf8').catch(() => undefined)
      if (text === undefined || (anchor !== undefined && !anchorsIn(text).includes(anchor))) broken.push(link)
    }
    expect(broken).toEqual([])
  })
})

/** As GitHub makes them. */
function anchorsIn(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading)
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}
