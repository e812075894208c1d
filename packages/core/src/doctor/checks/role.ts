import type { Facts } from '../facts.ts'
import type { Finding } from '../finding.ts'

/** Does the server take writes? */
export function checkRole({ role }: Facts): Finding {
  if ('refused' in role) return { check: 'role', status: 'warn', found: `not known: ${role.refused}` }
  if (role.value === 'primary') return { check: 'role', status: 'ok', found: 'primary: takes writes' }
  if (role.value === 'standby')
    return {
      check: 'role',
      status: 'warn',
      found: 'standby: refuses writes',
      advice: "If the service writes, name all hosts in the URL, and set `targetSessionAttrs: 'read-write'`.",
    }
  return {
    check: 'role',
    status: 'warn',
    found: 'read only: `default_transaction_read_only` is on',
    advice: 'If the service writes, find out who has set it: the server, the database, the role, or `options`.',
  }
}
