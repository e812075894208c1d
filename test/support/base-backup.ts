import fs from 'node:fs'
import path from 'node:path'
import type pg from 'pg'

/** What belongs to the running server, not to its data. */
const NOT_COPIED =
  /^(postmaster\.(pid|opts)|(pg_replslot|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp|pg_subtrans|pg_wal)\/.+)$/

/** What {@link baseBackup} needs to know. */
export interface BaseBackupOptions {
  /** A connection of a superuser to the server that is copied. */
  readonly client: pg.Client
  readonly from: string
  readonly to: string
  /** Called for each file and directory that was made. */
  readonly own: (file: string) => void
}

/** Copies the data directory of a running server. By the low-level API: the npm package brings no pg_basebackup. */
export async function baseBackup({ client, from, to, own }: BaseBackupOptions): Promise<void> {
  const write = (name: string, text: string): void => {
    fs.writeFileSync(path.join(to, name), text, { mode: 0o600 })
    own(path.join(to, name))
  }
  await client.query("select pg_backup_start('standby', fast => true)")
  copy(from, to, own, (file) => NOT_COPIED.test(path.relative(from, file)))
  const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)')
  write('backup_label', rows[0]?.labelfile ?? '')
  for (const directory of ['archive_status', 'summaries']) {
    fs.mkdirSync(path.join(to, 'pg_wal', directory), { recursive: true })
    own(path.join(to, 'pg_wal', directory))
  }
}

function copy(from: string, to: string, own: (file: string) => void, isSkipped: (file: string) => boolean): void {
  fs.mkdirSync(to, { mode: 0o700 })
  own(to)
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name)
    const target = path.join(to, entry.name)
    if (isSkipped(source)) continue
    if (entry.isDirectory()) {
      copy(source, target, own, isSkipped)
      continue
    }
    try {
      fs.copyFileSync(source, target, fs.constants.COPYFILE_FICLONE)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue // Dropped meanwhile: replay knows about it.
      throw error
    }
    own(target)
  }
}
