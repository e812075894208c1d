import { OPTIONS } from '../../options/option-table.ts'
import { duration } from '../duration.ts'
import { type Facts, hasPooler, numberOf } from '../facts.ts'
import type { Finding } from '../finding.ts'

/** The pool should close an idle connection this much sooner than the server does. */
const SOONER = 0.8
/** A shorter limit concerns ordinary statements. In milliseconds. */
const SHORT_MILLIS = 1000

/** Does the server close idle sessions before the pool does? */
export function checkIdleSession(facts: Facts): Finding {
  const check = 'idle_session_timeout'
  const millis = numberOf(facts, check)
  if (millis === undefined) return { check, status: 'ok', found: 'not known to this server' }
  if (millis === 0) return { check, status: 'ok', found: 'off' }
  const found = `the server closes idle sessions after ${duration(millis)}`
  if (millis * SOONER > OPTIONS.idleTimeoutMillis.default) return { check, status: 'ok', found }
  const idleTimeoutMillis = Math.max(1, Math.floor(millis * SOONER))
  return {
    check,
    status: 'warn',
    found,
    advice: `Set \`idleTimeoutMillis: ${idleTimeoutMillis}\` and leave \`min\` at 0, so that the pool closes them first.`,
    options: { idleTimeoutMillis },
  }
}

/** Does the server end a transaction that its process has forgotten? */
export function checkIdleInTransaction(facts: Facts): Finding {
  const check = 'idle_in_transaction_session_timeout'
  const millis = numberOf(facts, check)
  if (millis === undefined) return { check, status: 'ok', found: 'not known' }
  if (millis > 0)
    return { check, status: 'ok', found: `the server ends transactions that are idle for ${duration(millis)}` }
  const advice = hasPooler(facts)
    ? 'A process that hangs in a transaction keeps its locks: set it for the role.'
    : `A process that hangs in a transaction keeps its locks: set it for the role, or \`${check}: 60_000\`.`
  return { check, status: 'ok', found: 'off', advice }
}

/** How long may a statement take? */
export function checkStatementTimeout(facts: Facts): Finding {
  const check = 'statement_timeout'
  const millis = numberOf(facts, check)
  if (millis === undefined) return { check, status: 'ok', found: 'not known' }
  if (millis === 0) return { check, status: 'ok', found: 'off' }
  const found = `the server cancels statements after ${duration(millis)}`
  if (millis >= SHORT_MILLIS) return { check, status: 'ok', found }
  return {
    check,
    status: 'warn',
    found,
    advice: 'That is short for migrations, and for a server that is busy: set it where it is needed.',
  }
}
