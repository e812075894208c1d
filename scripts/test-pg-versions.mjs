import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Runs the unit and drop-in tests, and those of prepared statements, on each version of pg that `peerDependencies` allows. Each
 * version is copied to where `pg` is installed, so that pg-cursor, the ORMs and the programs that tests start find the same one. At the end the newest is
 * restored. Arguments are passed to vitest, and replace the projects and files that are chosen here.
 *
 *     npm run test:pg-versions                    on all of them
 *     HOLDFAST_TEST_PG=8.21 npm run test:pg-versions -- --project unit test/unit/pool.test.ts
 */
const root = join(import.meta.dirname, '..')
const installed = join(root, 'node_modules/pg')
const aside = join(root, 'node_modules/.pg-newest')
/** The npm aliases in test/package.json. The newest version is `pg` itself. */
const OLDER = { 8.21: 'pg-8-21', 8.22: 'pg-8-22' }
const chosen = process.env.HOLDFAST_TEST_PG
const versions = chosen ? [chosen] : [...Object.keys(OLDER), 'newest']
const given = process.argv.slice(2)
const RUNS =
  given.length > 0
    ? [given]
    : [
        ['--project', 'unit'],
        ['--project', 'server', 'test/drop-in', 'test/integration/prepare'],
      ]
/** pg has no `pipeline` before 8.23. */
const WITHOUT_PIPELINING = ['--exclude', '**/drop-in/pipelining*']

const putBack = () => {
  if (!existsSync(aside)) return
  rmSync(installed, { recursive: true, force: true })
  renameSync(aside, installed)
}

const put = (version) => {
  putBack() // An earlier run may have been killed before it restored the newest version.
  if (version === 'newest') return
  const name = OLDER[version]
  if (!name)
    throw new Error(`HOLDFAST_TEST_PG must be one of ${[...Object.keys(OLDER), 'newest'].join(', ')}, got ${version}`)
  renameSync(installed, aside)
  cpSync(join(root, 'node_modules', name), installed, { recursive: true })
}

async function run(args) {
  const child = spawn(join(root, 'node_modules/.bin/vitest'), ['run', ...args], { cwd: root, stdio: 'inherit' })
  // Ctrl-C reaches the child as well. The newest version is restored when the child has ended.
  const pass = (signal) => child.kill(signal)
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, pass)
  const [code] = await once(child, 'exit')
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, pass)
  return code ?? 1
}

try {
  for (const version of versions) {
    put(version)
    console.log(`\npg ${JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')).version}`)
    const excluded = version in OLDER ? WITHOUT_PIPELINING : []
    for (const args of RUNS) process.exitCode ||= await run([...args, ...excluded])
    if (process.exitCode) break
  }
} finally {
  putBack()
}
