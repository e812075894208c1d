import fs from 'node:fs'
import { ClusterError } from './errors.ts'

/** Whom the server runs as; empty when it runs as the current user. In the shape that `child_process` takes. */
export interface ServerAccount {
  readonly uid?: number
  readonly gid?: number
}

/**
 * Postgres refuses to run as root, and initdb wants an entry in /etc/passwd: started by root, the server runs as
 * `nobody` (or another unprivileged account). No account is created.
 */
export function serverAccount(): ServerAccount {
  if (process.getuid?.() !== 0) return {}
  const entries = fs
    .readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const entry = entries.find(([name]) => name === 'nobody') ?? entries.find(([, , uid]) => Number(uid) > 0)
  if (!entry) {
    throw new ClusterError(
      'CLUSTER_NOT_SUPPORTED',
      'There is no unprivileged account in /etc/passwd to run Postgres as.',
    )
  }
  return { uid: Number(entry[2]), gid: Number(entry[3]) }
}

/** Makes the account the owner of a file that the current user has made; nothing to do when they are the same. */
export function giveTo({ uid, gid }: ServerAccount, file: string): void {
  if (uid !== undefined && gid !== undefined) fs.lchownSync(file, uid, gid)
}
