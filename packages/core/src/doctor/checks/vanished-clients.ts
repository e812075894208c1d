import { duration } from '../duration.ts'
import { type Facts, hasPooler, numberOf } from '../facts.ts'
import type { Finding } from '../finding.ts'

/** Locks that a machine without power leaves behind shouldn't stay for longer. In milliseconds. */
const LONGEST_MILLIS = 15 * 60_000
/** Found after two minutes. */
const KEEPALIVES = '-c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=6'

/** When does the server notice that a client has vanished without a word, with its locks? */
export function checkKeepalives(facts: Facts): Finding {
  const check = 'tcp_keepalives'
  if (facts.place.host.startsWith('/')) return { check, status: 'ok', found: 'not needed on a Unix socket' }
  const [idle, interval, count] = ['idle', 'interval', 'count'].map((each) => numberOf(facts, `tcp_keepalives_${each}`))
  // 0: the system's own, on a system that doesn't tell it.
  if (!idle || !interval || !count) return { check, status: 'ok', found: "as the server's system has it" }
  const millis = (idle + interval * count) * 1000
  const found = `a client that vanishes is noticed after ${duration(millis)}`
  if (millis <= LONGEST_MILLIS) return { check, status: 'ok', found }
  if (hasPooler(facts)) return { check, status: 'warn', found, advice: 'Set them in the configuration of the pooler.' }
  return {
    check,
    status: 'warn',
    found,
    advice: `Until then its locks stay. Set \`options: '${KEEPALIVES}'\`, or the same for the server.`,
    options: { options: KEEPALIVES },
  }
}

/** Does the server notice, while it runs a statement, that its client has gone? */
export function checkConnectionCheck(facts: Facts): Finding {
  const check = 'client_connection_check_interval'
  const millis = numberOf(facts, check)
  if (millis !== undefined && millis > 0)
    return { check, status: 'ok', found: `the server looks for its client every ${duration(millis)}` }
  const found = 'a statement runs to its end after its client has gone'
  if (millis === undefined) return { check, status: 'warn', found, advice: 'PostgreSQL 14 and later can check that.' }
  return { check, status: 'warn', found, advice: 'Set it for the server: the pool sets it only on direct connections.' }
}
