import { expect, test } from 'vitest'
import { withPicture } from '../../scripts/architecture.ts'
import { textOf } from './support/documents.ts'

test('the picture of who imports whom is the one that `npm run architecture` draws', async () => {
  const document = await textOf('docs/architecture.md')
  expect(document).toBe(withPicture(document))
})
