import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { binaries } from '../../support/binaries.ts'
import type { Cluster } from '../../support/index.ts'
import { giveTo, serverAccount } from '../../support/server-account.ts'

const CONFIGURATION = ['postgresql.conf', 'pg_hba.conf', 'server.crt', 'server.key']

/**
 * Puts an empty system in the place of a server: same address, same certificate, same superuser, another identifier.
 * Copies of one template, as clusters are, have the same.
 */
export async function initialiseAnew(cluster: Cluster): Promise<'rst'> {
  const { initdb } = await binaries()
  const account = serverAccount()
  const { data, password } = cluster
  const before = `${data}-before`
  const passwordFile = path.join(path.dirname(data), 'password')
  await cluster.stop('immediate')
  fs.renameSync(data, before)
  fs.mkdirSync(data, { mode: 0o700 })
  fs.writeFileSync(passwordFile, password, { mode: 0o600 })
  for (const file of [data, passwordFile]) giveTo(account, file)
  const args = ['-D', data, '-U', 'postgres', '--pwfile', passwordFile, '--auth=scram-sha-256', '--no-sync']
  await promisify(execFile)(initdb, args, { ...account, cwd: data, env: { LC_ALL: 'C', TZ: 'UTC' } })
  for (const file of CONFIGURATION) {
    fs.copyFileSync(path.join(before, file), path.join(data, file))
    giveTo(account, path.join(data, file))
  }
  await cluster.start()
  return 'rst'
}
