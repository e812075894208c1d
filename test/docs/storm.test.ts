import { expect, test } from 'vitest'
import { type Storm, stormPicture } from '../../scripts/storm-picture.ts'
import { textOf } from './support/documents.ts'

test("the README's picture of a storm is the one that `npm run picture` draws from the record", async () => {
  const record = JSON.parse(await textOf('docs/storm.json')) as Storm
  expect(await textOf('docs/storm.svg')).toBe(stormPicture(record))
})
