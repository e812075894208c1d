import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text as textOfStream } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Cluster } from '../support/index.ts'
import { DOCUMENTS, REPOSITORY, textOf } from './support/documents.ts'

const run = promisify(execFile)

const WITH_EXAMPLES = [
  'README.md',
  'packages/core/README.md',
  'packages/drizzle/README.md',
  'packages/kysely/README.md',
  'packages/typeorm/README.md',
  'docs/drizzle.md',
  'docs/frameworks.md',
  'docs/guide.md',
  'docs/hosts.md',
  'docs/kysely.md',
  'docs/migrating.md',
  'docs/observability.md',
  'docs/transactions.md',
  'docs/typeorm.md',
]

interface Example {
  readonly document: string
  /** Below this workspace, so that the packages resolve as they do for a user. */
  readonly file: string
}

let folder: string
let cluster: Cluster
const examples: Example[] = []

beforeAll(async () => {
  cluster = await Cluster.start()
  for (const document of WITH_EXAMPLES)
    await cluster.withAdmin((admin) => admin.query(`create database ${databaseOf(document)} owner app`))
  folder = await mkdtemp(join(import.meta.dirname, '.examples-'))
  for (const document of DOCUMENTS)
    for (const [index, code] of examplesIn(await textOf(document)).entries()) {
      const file = join(folder, `${document.replaceAll(/\W/g, '-')}-${index}.ts`)
      await writeFile(file, code)
      examples.push({ document, file })
    }
})

afterAll(async () => {
  await rm(folder, { recursive: true })
  await cluster[Symbol.asyncDispose]()
})

/** What users copy: every block of TypeScript that imports from us. */
function examplesIn(text: string): string[] {
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code)
  return blocks.filter((code) => code.includes("from '@holdfast/"))
}

function databaseOf(document: string): string {
  return document.toLowerCase().replaceAll(/\W/g, '_')
}

/** Each document has a database to itself: they all begin with an empty one, and call their tables alike. */
function urlOf(document: string): string {
  const url = new URL(cluster.url)
  url.pathname = `/${databaseOf(document)}`
  return url.href
}

/** Runs a program to its end; a service, which says when it listens, is told to stop then. */
async function outcomeOf(
  file: string,
  document: string,
): Promise<{ stderr: string; code: number | null; signal: string | null }> {
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, DATABASE_URL: urlOf(document) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  child.stdout.on('data', (said: Buffer) => {
    if (said.toString().includes('listening')) child.kill('SIGTERM')
  })
  const [stderr, [code, signal]] = await Promise.all([textOfStream(child.stderr), once(child, 'close')])
  return { stderr, code, signal }
}

describe.concurrent.each(WITH_EXAMPLES)('the examples in %s', (document) => {
  // One process after the other, and as many documents at once: a busy machine takes a minute.
  test('the examples in the document run as they stand', { timeout: 180_000 }, async () => {
    for (const { file } of examples.filter((example) => example.document === document))
      expect([file, await outcomeOf(file, document)]).toEqual([file, { stderr: '', code: 0, signal: null }])
  })
})

test('no other document has examples', () => {
  expect([...new Set(examples.map(({ document }) => document))].toSorted()).toEqual(WITH_EXAMPLES.toSorted())
})

test('the examples pass the compiler, as strict as it can be', async () => {
  const options = '--noEmit --strict --target esnext --module nodenext --types node --skipLibCheck'
  const files = examples.map(({ file }) => file)
  const tsc = join(REPOSITORY.pathname, 'node_modules/.bin/tsc')
  const checked = run(tsc, ['--ignoreConfig', ...options.split(' '), ...files]).catch(({ stdout }) => ({ stdout }))
  expect((await checked).stdout).toBe('')
})
