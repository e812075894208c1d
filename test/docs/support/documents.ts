import { readFile } from 'node:fs/promises'

export const REPOSITORY: URL = new URL('../../../', import.meta.url)

/** Every document that is there to be read by users and contributors. */
export const DOCUMENTS: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'packages/core/README.md',
  'packages/drizzle/README.md',
  'packages/kysely/README.md',
  'packages/typeorm/README.md',
  'examples/README.md',
  'docs/architecture.md',
  'docs/benchmarks.md',
  'docs/driver.md',
  'docs/doctor.md',
  'docs/drizzle.md',
  'docs/failure-modes.md',
  'docs/frameworks.md',
  'docs/guide.md',
  'docs/hosts.md',
  'docs/kysely.md',
  'docs/migrating.md',
  'docs/observability.md',
  'docs/reference.md',
  'docs/transactions.md',
  'docs/typeorm.md',
]

/** The text of a document, by its path in the repository. */
export function textOf(document: string): Promise<string> {
  return readFile(new URL(document, REPOSITORY), 'utf8')
}

/** A part of a text, from this heading to the next one of any kind. */
export function sectionOf(text: string, heading: string): string {
  const [, rest] = text.split(`\n${heading}\n`)
  if (rest === undefined) throw new Error(`No section '${heading}'`)
  return rest.split(/^#/m)[0] ?? ''
}

/** The rows of the tables in a text, without their headings, as cells. */
export function rowsOf(text: string): string[][] {
  const rows = [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | '))
  const isRule = (row: string[] | undefined): boolean => row?.[0] === '---'
  return rows.filter((row, index) => !isRule(row) && !isRule(rows[index + 1]))
}
