import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { binaries } from './binaries.ts'
import { cachedDirectory } from './cached-directory.ts'
import { ClusterError } from './errors.ts'
import { giveTo, serverAccount } from './server-account.ts'

/** The superuser, for what a {@link Cluster} itself wants to know and do. */
export const ADMIN_USER = 'postgres'

/** An ordinary role, as an application has one: the connections that a server reserves for superusers stay reserved. */
export const APPLICATION_USER = 'app'

/** The one database. The ordinary role owns it, and may watch and end sessions as the role of a managed server may. */
export const DATABASE = 'postgres'

/** A freshly initialised data directory, to be copied. */
export interface Template {
  readonly data: string
  readonly password: string
}

/** To be increased with every change of what `build` does: the result of the old one may still lie about. */
const RECIPE = 2

const run = promisify(execFile)

/**
 * initdb costs a second of CPU and more, a copy of its result a fraction: made once, kept in the temporary directory. The
 * tests copy it hundreds of times, so it is kept small.
 */
export async function template(): Promise<Template> {
  const { version } = await binaries()
  const { uid } = serverAccount()
  const directory = await cachedDirectory(`template-${version}-${uid ?? 'self'}-${RECIPE}`, build)
  const password = fs.readFileSync(path.join(directory, 'password'), 'utf8')
  return { data: path.join(directory, 'data'), password }
}

async function build(directory: string): Promise<void> {
  const account = serverAccount()
  const { initdb } = await binaries()
  const data = path.join(directory, 'data')
  const passwordForInitdb = path.join(directory, 'password-for-initdb')
  // Random, although this is a toy: on a shared machine, a superuser with a known password is a way in.
  const password = randomBytes(12).toString('hex')
  fs.writeFileSync(path.join(directory, 'password'), password, { mode: 0o600 })
  fs.writeFileSync(passwordForInitdb, password, { mode: 0o600 })
  giveTo(account, passwordForInitdb)
  fs.mkdirSync(data, { mode: 0o700 })
  giveTo(account, data)
  const args = ['-D', data, '-U', ADMIN_USER, '--pwfile', passwordForInitdb]
  args.push('--auth=scram-sha-256', '--locale=C', '--encoding=UTF8', '--no-sync', '--wal-segsize=1')
  try {
    await run(initdb, args, { ...account, cwd: directory, env: { LC_ALL: 'C', TZ: 'UTC' } })
    await createApplicationUser(data, password)
  } catch (cause) {
    throw new ClusterError('CLUSTER_START_FAILED', 'A data directory could not be initialised.', { cause })
  }
  fs.rmSync(passwordForInitdb)
}

/** In single-user mode, which needs neither a port nor a connection. One line is one statement. */
async function createApplicationUser(data: string, password: string): Promise<void> {
  const { postgres } = await binaries()
  const args = ['--single', '-D', data, '-c', 'dynamic_shared_memory_type=mmap', '-c', 'exit_on_error=on', DATABASE]
  const server = run(postgres, args, { ...serverAccount(), cwd: data, env: { LC_ALL: 'C', TZ: 'UTC' } })
  server.child.stdin?.end(
    [
      `CREATE ROLE ${APPLICATION_USER} LOGIN PASSWORD '${password}'`,
      `GRANT pg_monitor, pg_signal_backend TO ${APPLICATION_USER}`,
      `ALTER DATABASE ${DATABASE} OWNER TO ${APPLICATION_USER}`,
      // A third of what is copied for each server, and of no use here.
      `UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'`,
      'DROP DATABASE template0',
      '',
    ].join('\n'),
  )
  await server
}
