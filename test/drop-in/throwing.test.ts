import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { settles } from '../faults/support/settling.ts'
import type { Throwing } from './programs/throwing.ts'
import { LIBRARIES } from './support/libraries.ts'

const run = promisify(execFile)

const CODE: readonly Throwing['what'][] = [
  'the callback of a statement',
  'the callback of a statement that fails',
  'the callback of a query object',
  'a listener to rows',
  'a listener to the end',
  'a listener to the error',
  'a listener to notifications',
  'a listener to notices',
  'the callback of a cursor',
  'the callback of a cursor that fails',
  'a listener to the data of a stream',
]

describe.each(LIBRARIES)("$library: what the application's own code throws while an answer is read", ({ library }) => {
  test.for(CODE)('what %s throws while an answer is read is caught nowhere', async (what, { cluster }) => {
    const throwing: Throwing = { library, options: cluster.config({ max: 1 }), what }
    const program = fileURLToPath(new URL('programs/throwing.ts', import.meta.url))
    const flags = ['--experimental-strip-types', '--no-warnings', program, JSON.stringify(throwing)]
    const { stdout } = await settles(run(process.execPath, flags, { timeout: 20_000 }), 'the program')
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toContain('uncaught: of the application')
    // The connection is none the worse for it; with pg the rest of the answer is read once more.
    if (library === 'Holdfast') expect(lines).toEqual(['uncaught: of the application', 'goes on: 1', 'the same'])
  })
})
