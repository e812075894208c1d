import type { PoolerKind } from '../../policy/pooler.ts'
import type { Facts } from '../facts.ts'
import type { Finding } from '../finding.ts'

const FINDINGS: Readonly<Record<PoolerKind, Omit<Finding, 'check'>>> = {
  none: { status: 'ok', found: 'none: connections lead straight to the server' },
  unknown: {
    status: 'warn',
    found: "not known: the server doesn't say which process serves a session",
    advice: "If nothing is in between, `pooler: 'none'` says so; else set `pooler` to how it works.",
  },
  some: {
    status: 'warn',
    found: "there is one, and how it works isn't known",
    advice: "Set `pooler` to 'session' or 'transaction', as in its configuration (`pool_mode` of PgBouncer).",
  },
  session: { status: 'ok', found: 'gives each connection a session of the server', options: { pooler: 'session' } },
  transaction: {
    status: 'warn',
    found: 'gives each transaction a session of the server',
    advice:
      "Set `pooler: 'transaction'`, and don't use LISTEN, advisory locks of the session, or SET outside transactions.",
    options: { pooler: 'transaction' },
  },
}

/** What is between the pool and the server? */
export function checkPooler({ pooler }: Facts): Finding {
  return { check: 'pooler', ...FINDINGS[pooler] }
}
