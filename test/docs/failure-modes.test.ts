import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

interface Row {
  readonly row: string
  readonly file: string
}

// How many failures each of the sections has that are complete.
const COMPLETE = { A: 6, B: 16, C: 6, D: 5, E: 8, F: 10 }

async function documented(): Promise<Row[]> {
  const text = await readFile(new URL('../../docs/failure-modes.md', import.meta.url), 'utf8')
  const rows = text.matchAll(/^\| ([A-F]\d+) \|.* \| `([^`]+)` \|$/gm)
  return [...rows].map(([, row = '', file = '']) => ({ row, file }))
}

test('every failure that is documented has a test, and every fault test is documented', async () => {
  const rows = await documented()
  const faults = (await readdir(new URL('../faults', import.meta.url))).filter((file) => file.endsWith('.test.ts'))
  const documentedFiles = new Set(rows.map(({ file }) => `${file}.test.ts`))
  expect([...documentedFiles].toSorted()).toEqual(faults.toSorted())
  for (const { row, file } of rows) expect(file).toMatch(new RegExp(`^${row}-`, 'i'))
})

test.each(Object.entries(COMPLETE))(
  'no failure is missing from section %s, and they are in order',
  async (letter, count) => {
    const numbers = (await documented())
      .filter(({ row }) => row.startsWith(letter))
      .map(({ row }) => Number(row.slice(1)))
    expect([...new Set(numbers)]).toEqual(Array.from({ length: count }, (_, index) => index + 1))
    expect(numbers).toEqual(numbers.toSorted((one, other) => one - other))
  },
)

test('every row of a table is one that these tests can read', async () => {
  const text = await readFile(new URL('../../docs/failure-modes.md', import.meta.url), 'utf8')
  const lines = text.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:#|---) \|/.test(line))
  expect(lines).toHaveLength((await documented()).length)
})
