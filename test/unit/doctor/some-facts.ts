import type { Facts } from '../../../packages/core/src/doctor/facts.ts'

/** What the doctor learns of a server where all is well, with what is different. */
export function someFacts(different: Partial<Facts> = {}, settings: Record<string, string> = {}): Facts {
  return {
    wanted: { processes: 1, max: 10 },
    place: { host: 'db.example', port: 5432, database: 'shop' },
    user: 'app',
    version: 'PostgreSQL 18.4 on x86_64-pc-linux-gnu, compiled by gcc',
    versionNumber: 180_004,
    tls: 'verified',
    pooler: 'none',
    role: { value: 'primary' },
    settings: {
      value: new Map(
        Object.entries({
          idle_session_timeout: '0',
          idle_in_transaction_session_timeout: '60000',
          statement_timeout: '0',
          client_connection_check_interval: '10000',
          tcp_keepalives_idle: '60',
          tcp_keepalives_interval: '10',
          tcp_keepalives_count: '6',
          ...settings,
        }),
      ),
    },
    capacity: {
      value: {
        limits: { server: 97, role: Number.POSITIVE_INFINITY, database: Number.POSITIVE_INFINITY },
        used: { server: 5, role: 3, database: 3 },
      },
    },
    watch: { value: true },
    commits: { value: true },
    clock: { value: { aheadMillis: 3, uncertaintyMillis: 1 } },
    loginMillis: 12,
    ...different,
  }
}
