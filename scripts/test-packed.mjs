import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Runs the tests on the packages as they would be published. Builds and packs them, unpacks them where `npm install` of a
 * user puts them, runs the tests, and restores the links to the workspaces. Arguments are passed to vitest.
 */
const root = join(import.meta.dirname, '..')
const scope = join(root, 'node_modules/@holdfast')
const packages = readdirSync(join(root, 'packages'))
const bin = (name) => join(root, 'node_modules/.bin', name)
const run = (command, args, cwd = root) => execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] })

// Remove the earlier build: it may have files whose sources are gone, and they would be packed too.
for (const name of packages) rmSync(join(root, 'packages', name, 'dist'), { recursive: true, force: true })
run(bin('turbo'), ['run', 'build', '--output-logs=errors-only'])

const folder = mkdtempSync(join(tmpdir(), 'holdfast-packed-'))
const restore = () => {
  for (const name of packages) {
    rmSync(join(scope, name), { recursive: true, force: true })
    symlinkSync(join('../../packages', name), join(scope, name), 'junction')
  }
  rmSync(folder, { recursive: true, force: true })
}

let code = 1
try {
  for (const name of packages) {
    run('npm', ['pack', '--silent', '--pack-destination', folder], join(root, 'packages', name))
    const tarball = readdirSync(folder).find((file) => file.startsWith(`holdfast-${name}-`))
    const unpacked = join(folder, name)
    mkdirSync(unpacked)
    run('tar', ['xzf', join(folder, tarball), '-C', unpacked, '--strip-components=1'])
    rmSync(join(scope, name))
    run('cp', ['-R', unpacked, join(scope, name)])
  }
  const child = spawn(bin('vitest'), ['run', ...process.argv.slice(2)], {
    cwd: root,
    env: { ...process.env, HOLDFAST_TEST_BUILT: '1' },
    stdio: 'inherit',
  })
  // Ctrl-C reaches the child as well. The links are restored when the child has ended.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  ;[code] = await once(child, 'exit')
} finally {
  restore()
}
process.exitCode = code ?? 1
