import { ADMIN_USER } from './template.ts'

/** Settings by name, as in postgresql.conf. */
export type Settings = Readonly<Record<string, string | number | boolean>>

/** What a throw-away server on a machine of unknown size needs; all of it can be overridden. */
export const THROW_AWAY_SETTINGS: Settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  dynamic_shared_memory_type: 'mmap', // No need for a usable /dev/shm.
  max_connections: 200,
  shared_buffers: '32MB',
  // Nobody will ever want these data back after a power cut.
  fsync: 'off',
  full_page_writes: 'off',
  password_encryption: 'scram-sha-256', // md5 before PostgreSQL 14.
  wal_level: 'logical',
  wal_keep_size: '64MB',
  log_line_prefix: '%m [%p] ',
}

/** The text of a postgresql.conf. */
export function settingsFile(settings: Settings): string {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'`)
  return `${lines.join('\n')}\n`
}

/**
 * The text of a pg_hba.conf. The superuser's lines come first and the first match counts, so whatever `custom` forbids,
 * it cannot lock out the cluster itself.
 */
export function hbaFile({ tls, custom }: { readonly tls: boolean; readonly custom?: string | undefined }): string {
  const type = tls ? 'hostssl' : 'host'
  const admin = `${type} all,replication ${ADMIN_USER} 127.0.0.1/32 scram-sha-256`
  const everyone = `${type} all all 127.0.0.1/32 scram-sha-256\nlocal all all scram-sha-256`
  return `${admin}\n${custom ?? everyone}\n`
}
