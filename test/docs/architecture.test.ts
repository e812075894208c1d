import { expect, test } from 'vitest'
import { withPicture } from '../../scripts/architecture.ts'
import { rowsOf, sectionOf, textOf } from './support/documents.ts'

const DECISIONS = 12

test('the picture of who imports whom is the one that `npm run architecture` draws', async () => {
  const document = await textOf('docs/architecture.md')
  expect(document).toBe(withPicture(document))
})

test('each of the twelve decisions is made where the architecture says', async () => {
  const rows = rowsOf(sectionOf(await textOf('docs/architecture.md'), '## Where each decision is made'))
  expect(rows).toHaveLength(DECISIONS)
  for (const place of rows.flatMap(([, ...places]) => places.flatMap((cell) => cell.split('; ')))) {
    if (place.trim() === '') continue
    const [file = '', ...names] = [...place.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
    const source = await textOf(`packages/core/src/${file}`)
    for (const name of names) expect([place, source.includes(name)]).toEqual([place, true])
  }
})
