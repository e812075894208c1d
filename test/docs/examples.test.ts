import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { Cluster } from '../support/index.ts'

const run = promisify(execFile)
const repository = new URL('../../', import.meta.url)

/** What users copy: every block of TypeScript that imports from us. */
async function examplesOf(document: string): Promise<string[]> {
  const text = await readFile(new URL(document, repository), 'utf8')
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code)
  return blocks.filter((code) => code.includes("from '@holdfast/"))
}

test.each(['README.md', 'packages/core/README.md'])('every example in %s runs as it stands', async (document) => {
  await using cluster = await Cluster.start()
  const examples = await examplesOf(document)
  expect(examples).not.toHaveLength(0)
  // Below this workspace, so that the packages resolve as they do for a user.
  const folder = await mkdtemp(join(import.meta.dirname, '.examples-'))
  try {
    for (const [index, code] of examples.entries()) {
      const file = join(folder, `example-${index}.ts`)
      await writeFile(file, code)
      const { stderr } = await run(process.execPath, [file], {
        env: { ...process.env, DATABASE_URL: cluster.url },
        timeout: 30_000,
      })
      expect(stderr).toBe('')
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
