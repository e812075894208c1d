import type { PoolOptions } from '../options/pool-options.ts'
import { checkCapacity } from './checks/capacity.ts'
import { checkClock } from './checks/clock.ts'
import { checkConnection, failedConnection } from './checks/connection.ts'
import { checkPooler } from './checks/pooler.ts'
import { checkLostCommit, checkPrepare, checkWatch } from './checks/promises.ts'
import { checkRole } from './checks/role.ts'
import { checkIdleInTransaction, checkIdleSession, checkStatementTimeout } from './checks/timeouts.ts'
import { checkTls } from './checks/tls.ts'
import { checkConnectionCheck, checkKeepalives } from './checks/vanished-clients.ts'
import { checkVersion } from './checks/version.ts'
import type { Facts, Place } from './facts.ts'
import { type Finding, type Status, worstOf } from './finding.ts'

/** In the order in which they are shown. */
const CHECKS: readonly ((facts: Facts) => Finding)[] = [
  checkConnection,
  checkVersion,
  checkTls,
  checkPooler,
  checkRole,
  checkCapacity,
  checkIdleSession,
  checkIdleInTransaction,
  checkStatementTimeout,
  checkKeepalives,
  checkConnectionCheck,
  checkWatch,
  checkLostCommit,
  checkPrepare,
  checkClock,
]

/** All that was found. With `--json`, it is printed like this. */
export interface Diagnosis {
  /** Raised when a field changes its meaning or goes. */
  readonly format: 1
  readonly status: Status
  readonly server: Place
  readonly findings: readonly Finding[]
  /** The options of the pool that suit this server: those of the findings together. */
  readonly options: PoolOptions
}

/** What the facts mean. */
export function diagnose(facts: Facts): Diagnosis {
  return diagnosisOf(
    facts.place,
    CHECKS.map((check) => check(facts)),
  )
}

/** The server could not be asked. */
export function diagnoseFailure(place: Place, error: unknown): Diagnosis {
  return diagnosisOf(place, [failedConnection(error)])
}

function diagnosisOf(server: Place, findings: readonly Finding[]): Diagnosis {
  const options: PoolOptions = Object.assign({}, ...findings.map((finding) => finding.options))
  return { format: 1, status: worstOf(findings), server, findings, options }
}
