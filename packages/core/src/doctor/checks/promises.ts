import { type Facts, hasPooler } from '../facts.ts'
import type { Finding } from '../finding.ts'

/** Can statements on dead connections be told from slow ones? */
export function checkWatch(facts: Facts): Finding {
  const check = 'watch'
  if (hasPooler(facts))
    return {
      check,
      status: 'warn',
      found: 'behind a pooler only a network that leads nowhere is found',
      advice: 'Set `query_timeout`, longer than any statement takes.',
    }
  if ('value' in facts.watch)
    return { check, status: 'ok', found: 'statements on dead connections are found while they wait' }
  return {
    check,
    status: 'warn',
    found: `not available: ${facts.watch.refused}`,
    advice: 'Mend that, or set `query_timeout`, longer than any statement takes.',
  }
}

/** Can the server be asked what became of a COMMIT whose answer was lost? */
export function checkLostCommit({ commits, role }: Facts): Finding {
  const check = 'lost_commit'
  const isStandby = 'value' in role && role.value === 'standby'
  if (isStandby) return { check, status: 'ok', found: 'not needed: a standby commits nothing' }
  if ('value' in commits) return { check, status: 'ok', found: 'the outcome of a lost COMMIT is found out' }
  return {
    check,
    status: 'warn',
    found: `a lost COMMIT stays unknown: ${commits.refused}`,
    advice: 'Grant what is missing to the role; until then, handle `CommitOutcomeUnknownError`.',
  }
}

/** Are statements prepared, and do they share connections? */
export function checkPrepare(facts: Facts): Finding {
  const check = 'prepare'
  if (!hasPooler(facts) && facts.pooler !== 'unknown')
    return { check, status: 'ok', found: 'frequent statements are prepared, and plain reads share connections' }
  return {
    check,
    status: 'ok',
    found: 'nothing is prepared by itself, and no statements share a connection',
    advice: 'If the pooler supports prepared statements (PgBouncer 1.21 and later), `prepare: true` turns them on.',
  }
}
