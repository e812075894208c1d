import { LIMITED, type Limited } from '../../guard/capacity.ts'
import { type Facts, hasPooler } from '../facts.ts'
import type { Finding } from '../finding.ts'

const NAMES: Readonly<Record<Limited, string>> = {
  server: 'the server (max_connections minus what is reserved)',
  role: 'the role (its connection limit)',
  database: 'the database (its connection limit)',
}
/** Of what is allowed, this share and more in use is nearly all. */
const NEARLY_ALL = 0.9

/** Does the server allow as many connections as the processes may want? */
export function checkCapacity(facts: Facts): Finding {
  const { capacity, wanted } = facts
  const check = 'capacity'
  if ('refused' in capacity) return { check, status: 'warn', found: `not known: ${capacity.refused}` }
  const { limits, used } = capacity.value
  const tightest = LIMITED.reduce((least, each) => (limits[each] < limits[least] ? each : least))
  const limit = limits[tightest]
  const total = wanted.processes * wanted.max
  const inUse = used[tightest]
  const now = inUse === undefined ? '' : `, ${inUse} in use now`
  const want = `${wanted.processes} ${wanted.processes === 1 ? 'process' : 'processes'} × max ${wanted.max} = ${total}`
  const found = `${want}; ${NAMES[tightest]} allows ${limit}${now}`
  if (hasPooler(facts))
    return { check, status: 'ok', found, advice: 'Behind a pooler its own limits count; this one is for the pooler.' }
  if (total > limit) return { check, status: 'fail', found, ...fitting(limit, wanted.processes) }
  if (inUse !== undefined && inUse >= limit * NEARLY_ALL)
    return { check, status: 'warn', found, advice: 'Nearly all are taken: see who has them in `pg_stat_activity`.' }
  return { check, status: 'ok', found }
}

function fitting(limit: number, processes: number): Pick<Finding, 'advice' | 'options'> {
  const max = Math.floor(limit / processes)
  if (max < 1)
    return { advice: `Run at most ${Math.max(0, limit)} processes, raise the limit, or put a pooler in front.` }
  return { advice: `Set \`max: ${max}\`, raise the limit, or put a pooler in front.`, options: { max } }
}
