import type { Facts } from '../facts.ts'
import type { Finding } from '../finding.ts'

/** The first version whose server can be asked about transactions and sessions as Holdfast does. */
const NEEDED = 130_000

/** Is it PostgreSQL, and recent enough? */
export function checkVersion({ version, versionNumber }: Facts): Finding {
  const found = version.split(/ on |, /)[0] ?? version
  const isPostgres = /^PostgreSQL \d/.test(version)
  if (!isPostgres || versionNumber === undefined)
    return {
      check: 'version',
      status: 'warn',
      found,
      advice: 'Holdfast is tested on PostgreSQL. The checks below say what works with this server.',
    }
  if (versionNumber >= NEEDED) return { check: 'version', status: 'ok', found }
  return {
    check: 'version',
    status: 'warn',
    found,
    advice: "Upgrade to PostgreSQL 13 or later: before, a lost COMMIT can't be resolved, and nothing is watched.",
  }
}
