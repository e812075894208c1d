import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { rolldown } from 'rolldown'
import { test as base, describe, expect } from 'vitest'

// What is built here is what would be published: see test/support/build-packages.ts.
const ROOT = join(import.meta.dirname, '../..')
const PACKAGES = ['core', 'drizzle', 'kysely', 'typeorm'] as const
const CACHE = join(ROOT, 'node_modules/.cache/holdfast-tests')
const run = promisify(execFile)
// Without the condition by which tests see the sources.
const env = { ...process.env, NODE_OPTIONS: '' }

/** A folder of a program that finds the packages as an application of a user does. */
const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('folder', async ({}, { onCleanup }) => {
    await mkdir(CACHE, { recursive: true })
    const folder = await mkdtemp(join(CACHE, 'package-'))
    onCleanup(() => rm(folder, { recursive: true, force: true }))
    return folder
  })

async function outputOf(folder: string, file: string, program: string): Promise<unknown> {
  await writeFile(join(folder, file), program)
  const { stdout } = await run(process.execPath, [file], { cwd: folder, env })
  return JSON.parse(stdout)
}

describe.each(PACKAGES)('@holdfast/%s', (name) => {
  test(`@holdfast/${name} has its bundles, their types and nothing else in its tarball`, async () => {
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: join(ROOT, 'packages', name),
      env,
    })
    const packed = JSON.parse(stdout) as { files: { path: string }[] }[] | Record<string, { files: { path: string }[] }>
    const [tarball] = Object.values(packed)
    const files = tarball?.files.map(({ path }) => path).toSorted()
    const entry = name === 'drizzle' ? [] : ['dist/node.mjs']
    const more = name === 'core' ? ['cjs', 'd.cts', 'd.mts', 'mjs'].map((ending) => `dist/opentelemetry.${ending}`) : []
    const command = name === 'core' ? ['dist/holdfast.mjs'] : []
    expect(files).toEqual(
      [
        'LICENSE',
        'README.md',
        'package.json',
        'dist/index.cjs',
        'dist/index.d.cts',
        'dist/index.d.mts',
        'dist/index.mjs',
        ...entry,
        ...more,
        ...command,
      ].toSorted(),
    )
  })

  test(`@holdfast/${name} gives require() and import the same names`, async ({ folder }) => {
    const names = await outputOf(
      folder,
      'names.cjs',
      `const required = Object.keys(require('@holdfast/${name}'))
       import('@holdfast/${name}').then((imported) => {
         const isName = (name) => name !== 'default' && name !== 'module.exports'
         console.log(JSON.stringify([required.sort(), Object.keys(imported).filter(isName).sort()]))
       })`,
    )
    const [required, imported] = names as [string[], string[]]
    expect(required.length).toBeGreaterThan(0)
    expect(imported).toEqual(required)
  })
})

test('require() and import share classes and scopes', async ({ folder }) => {
  const program = `
    const required = require('@holdfast/core')
    import('@holdfast/core').then(async (imported) => {
      const pool = new imported.Pool({ connectionTimeoutMillis: 60_000, host: '127.0.0.1', port: 1 })
      const controller = new AbortController()
      const query = required.withPoolOptions({ signal: controller.signal }, () => pool.query('select 1'))
      controller.abort(new Error('its scope'))
      const reason = await query.catch(({ message }) => message)
      await pool.end()
      const { Pool, OptionsError } = required
      let error
      try { new imported.Pool({ max: -1 }) } catch (thrown) { error = thrown }
      console.log(JSON.stringify({ isPool: pool instanceof Pool, isError: error instanceof OptionsError, reason }))
    })`
  expect(await outputOf(folder, 'share.cjs', program)).toEqual({ isPool: true, isError: true, reason: 'its scope' })
})

test('an adapter that is required uses the core that is imported', async ({ folder }) => {
  const program = `
    import { createRequire } from 'node:module'
    import { Pool } from '@holdfast/core'
    const { drizzle } = createRequire(import.meta.url)('@holdfast/drizzle')
    console.log(JSON.stringify(drizzle('postgres://localhost/app').$client instanceof Pool))`
  expect(await outputOf(folder, 'adapter.mjs', program)).toBe(true)
})

test('observe() of @holdfast/core/opentelemetry is there for require() and import', async ({ folder }) => {
  const program = `
    const required = require('@holdfast/core/opentelemetry')
    import('@holdfast/core/opentelemetry').then((imported) => {
      console.log(JSON.stringify([typeof required.observe, typeof imported.observe]))
    })`
  expect(await outputOf(folder, 'observe.cjs', program)).toEqual(['function', 'function'])
})

test('the command holdfast runs from the tarball', async ({ folder }) => {
  const installed = join(folder, 'node_modules/@holdfast/core')
  await mkdir(installed, { recursive: true })
  await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], {
    cwd: join(ROOT, 'packages/core'),
    env,
  })
  const [tarball = ''] = (await readdir(folder)).filter((file) => file.endsWith('.tgz'))
  await run('tar', ['xzf', join(folder, tarball), '-C', installed, '--strip-components=1'])
  const { bin } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as { bin: { holdfast: string } }
  const command = join(installed, bin.holdfast)
  const { stdout: help } = await run(process.execPath, [command, '--help'], { env })
  expect(help).toMatch(/^Usage: holdfast doctor/)
  const refused = await run(process.execPath, [command, 'doctor', '--json', 'postgres://app@127.0.0.1:1/shop'], {
    env,
  }).catch((error: { code: number; stdout: string }) => error)
  expect(refused).toMatchObject({ code: 1 })
  expect(JSON.parse(refused.stdout)).toMatchObject({ status: 'fail', findings: [{ check: 'connection' }] })
})

test.for(['esm', 'cjs'] as const)('a bundler takes one copy into a program (%s)', async (format, { folder }) => {
  const program = `
    import { Pool } from '@holdfast/core'
    import { drizzle } from '@holdfast/drizzle'
    console.log(JSON.stringify(drizzle('postgres://localhost/app').$client instanceof Pool))`
  await writeFile(join(folder, 'program.js'), program)
  const bundle = await rolldown({
    input: join(folder, 'program.js'),
    platform: 'node',
    external: [/^pg/, /^drizzle-orm/],
    logLevel: 'silent',
  })
  const file = `bundled.${format === 'esm' ? 'mjs' : 'cjs'}`
  await bundle.write({ file: join(folder, file), format })
  const { stdout } = await run(process.execPath, [file], { cwd: folder, env })
  expect(JSON.parse(stdout)).toBe(true)
  const text = await readFile(join(folder, file), 'utf8')
  expect(text.match(/class PoolTimeoutError/g)).toHaveLength(1)
})

test.for([
  { module: 'commonjs', moduleResolution: 'bundler', type: 'commonjs' },
  { module: 'node16', moduleResolution: 'node16', type: 'commonjs' },
  { module: 'node16', moduleResolution: 'node16', type: 'module' },
  { module: 'nodenext', moduleResolution: 'nodenext', type: 'commonjs' },
  { module: 'nodenext', moduleResolution: 'nodenext', type: 'module' },
  { module: 'esnext', moduleResolution: 'bundler', type: 'module' },
])(
  'TypeScript finds the types with module: $module, in a package of type $type',
  async ({ type, ...modules }, { folder }) => {
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type }))
    await writeFile(join(folder, 'app.ts'), await readFile(join(import.meta.dirname, 'fixtures/app.ts')))
    const compilerOptions = {
      ...modules,
      target: 'es2023',
      strict: true,
      skipLibCheck: true,
      noEmit: true,
      types: ['node'],
    }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['app.ts'] }))
    const compiler = join(ROOT, 'node_modules/.bin/tsc')
    const { stdout } = await run(compiler, ['-p', folder]).catch((error: { stdout: string }) => error)
    expect(stdout).toBe('')
  },
)
