import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

test('every failure that is documented has a test, and every fault test is documented', async () => {
  const text = await readFile(new URL('../../docs/failure-modes.md', import.meta.url), 'utf8')
  const rows = [...text.matchAll(/^\| ([A-F]\d) \|.* \| `([^`]+)` \|$/gm)].map(([, row = '', file = '']) => ({
    row,
    file,
  }))
  const faults = (await readdir(new URL('../faults', import.meta.url))).filter((file) => file.endsWith('.test.ts'))
  expect(rows.map(({ file }) => `${file}.test.ts`).toSorted()).toEqual(faults.toSorted())
  for (const { row, file } of rows) expect(file).toMatch(new RegExp(`^${row}-`, 'i'))
})
