import { duration } from '../duration.ts'
import type { Facts } from '../facts.ts'
import type { Finding } from '../finding.ts'

/** Larger differences confuse people who compare logs, and break passwords and certificates that expire. In milliseconds. */
const LARGEST_MILLIS = 2000

/** Do this machine and the server agree on the time? */
export function checkClock({ clock }: Facts): Finding {
  const check = 'clock'
  if ('refused' in clock) return { check, status: 'warn', found: `not known: ${clock.refused}` }
  const { aheadMillis, uncertaintyMillis } = clock.value
  const millis = Math.abs(aheadMillis)
  if (millis - uncertaintyMillis <= LARGEST_MILLIS)
    return { check, status: 'ok', found: `agrees with the server's, to within ${duration(millis + uncertaintyMillis)}` }
  return {
    check,
    status: 'warn',
    found: `the server's is ${duration(millis)} ${aheadMillis > 0 ? 'ahead' : 'behind'}`,
    advice: "Synchronise both by NTP: certificates and passwords that expire depend on it. The pool itself doesn't.",
  }
}
