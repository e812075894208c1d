import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { ClusterError } from './errors.ts'
import { type ServerAccount, serverAccount } from './server-account.ts'
import { Watchdog } from './watchdog.ts'

let base: string | undefined

/** The temporary directory that both this process and the server's account may use. */
export function temporaryBase(account: ServerAccount = serverAccount()): string {
  base ??= [os.tmpdir(), '/tmp', '/var/tmp'].find(
    (directory) =>
      fs.existsSync(directory) &&
      spawnSync('test', ['-w', directory, '-a', '-x', directory], { ...account, cwd: '/' }).status === 0,
  )
  if (!base)
    throw new ClusterError('CLUSTER_NOT_SUPPORTED', 'There is no temporary directory that Postgres may write to.')
  return base
}

/** @throws {ClusterError} when others could have put something into the directory: its name can be guessed. */
function assertOurs(directory: string): void {
  if (process.getuid === undefined) return // Windows: the temporary directory itself is the user's own.
  const entry = fs.lstatSync(directory)
  if (entry.isDirectory() && entry.uid === process.getuid() && (entry.mode & 0o022) === 0) return
  throw new ClusterError('CLUSTER_UNTRUSTED_DIRECTORY', `${directory} belongs to, or can be changed by, somebody else.`)
}

/**
 * A directory that is expensive to make and is therefore kept between runs, in the temporary directory. `build` fills
 * a new one, which then gets its final name in one step: processes that build at the same time do not disturb each
 * other, and one that is killed leaves nothing half-made.
 *
 * @throws {ClusterError} when a directory of that name exists that this user has not made.
 */
export async function cachedDirectory(name: string, build: (directory: string) => Promise<void>): Promise<string> {
  const final = path.join(temporaryBase(), `holdfast-${process.getuid?.() ?? 'user'}-${name}`)
  if (!fs.existsSync(final)) {
    const partial = fs.mkdtempSync(path.join(temporaryBase(), 'holdfast-partial-'))
    const watchdog = new Watchdog(partial)
    try {
      fs.chmodSync(partial, 0o755)
      await build(partial)
      fs.renameSync(partial, final)
    } catch (error) {
      fs.rmSync(partial, { recursive: true, force: true })
      if (!fs.existsSync(final)) throw error // Otherwise another process was faster.
    } finally {
      await watchdog[Symbol.asyncDispose]()
    }
  }
  assertOurs(final)
  return final
}
