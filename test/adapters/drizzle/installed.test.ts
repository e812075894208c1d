import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { Installation } from './support/installation.ts'

const TSC = join(import.meta.dirname, '../../../node_modules/.bin/tsc')
const STRICT = '--ignoreConfig --noEmit --strict --target esnext --module nodenext --types node --skipLibCheck'

async function programOf(name: string): Promise<string> {
  return readFile(join(import.meta.dirname, 'programs', name), 'utf8')
}

describe('installed beside Drizzle 1.0 (release candidate)', () => {
  test('@holdfast/drizzle runs relations, prepared statements, replicas and transactions', async ({ cluster }) => {
    await using installation = await Installation.create({ drizzle: 'drizzle-orm-next' })
    const file = await installation.write('program.mts', await programOf('on-drizzle-1.mts'))
    const ended = await installation.run(`await import('${pathToFileURL(file)}')`, { DATABASE_URL: cluster.url })
    expect(ended).toEqual({ printed: '[{"id":1,"name":"Ada","posts":[{"id":1}]}]', stderr: '', code: 0 })
  })

  test('@holdfast/drizzle has the types of Drizzle 1.0', async () => {
    await using installation = await Installation.create({ drizzle: 'drizzle-orm-next' })
    const file = await installation.write('program.mts', await programOf('on-drizzle-1.mts'))
    const checked = promisify(execFile)(TSC, [...STRICT.split(' '), file]).catch(({ stdout }) => ({ stdout }))
    expect((await checked).stdout).toBe('')
  })
})

describe('installed beside Drizzle 0.45', () => {
  test('@holdfast/drizzle runs in a CommonJS program, which loads a second copy of Drizzle', async ({ cluster }) => {
    await using installation = await Installation.create()
    const file = await installation.write('program.cjs', await programOf('common-js.cjs'))
    const ended = await installation.run(`await import('${pathToFileURL(file)}')`, { DATABASE_URL: cluster.url })
    expect(ended).toEqual({ printed: '[{"id":"written by require"}]', stderr: '', code: 0 })
  })
})
