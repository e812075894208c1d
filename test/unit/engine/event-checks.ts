import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import type { RetireReason } from '../../../packages/core/src/policy/retirement.ts'
import type { EventRecorder } from './event-recorder.ts'
import type { SimulatedCaller } from './simulated-caller.ts'

/** Checks whether this connection may be leased to this caller. */
export function checkLease(recorder: EventRecorder, caller: SimulatedCaller, connection: Connection): void {
  const { clock, server } = recorder.fixture
  const { options } = recorder
  const now = clock.now()
  const report = (what: string): void => {
    recorder.violations.push(`connection ${connection.id} was leased though ${what}`)
  }
  if (!connection.is('leased')) report(`it is ${connection.state}`)
  if (connection.isLost) report('it is lost')
  if (recorder.invalid.has(connection)) report('it is invalid')
  if (recorder.retired.has(connection)) report('it is retired')
  if (recorder.holders.has(connection)) report('another caller holds it')
  if (caller.since > (recorder.closedAt ?? now)) report('the pool is closed')
  if (caller.controller?.signal.aborted) report('its caller has given up')
  if (now > caller.until) report('the deadline has passed')
  if (connection.uses > options.maxUses) report('it has reached maxUses')
  if (now - (recorder.opened.get(connection) ?? now) >= options.maxLifetimeMillis) report('it is too old')
  if (!connection.inSync) report('the server has not answered everything')
  if (connection.transactionStatus !== 'I') report(`its status is ${connection.transactionStatus}`)

  const { received } = server.backend(connection.id)
  const ofTransactions = received.filter((sql) => /^(?:begin|commit|rollback)/i.test(sql))
  if (ofTransactions.at(-1) === 'begin') report('the server has a transaction open')
  if (options.prePing) {
    if (now - connection.liveness.answeredAt > options.prePing.idleMillis) report('it was silent for too long')
    const suspect = recorder.suspect.get(connection)
    const hasAnswered = suspect?.lostAt !== undefined && connection.liveness.answeredAt > suspect.lostAt
    if (suspect && received.length <= suspect.received && !hasAnswered) report('it is suspect')
  }
  recorder.suspect.delete(connection)
  checkReset(recorder, connection, received, report)
}

/** Checks whether it was reset by the policy of its last holder, or of the pool. */
function checkReset(
  recorder: EventRecorder,
  connection: Connection,
  received: readonly string[],
  report: (what: string) => void,
): void {
  const resetFacts = recorder.resetFacts.get(connection)
  if (!resetFacts) return
  recorder.resetFacts.delete(connection)
  const { policy, status, hasWorked } = resetFacts
  const sent = received.slice(resetFacts.received).filter((sql) => sql !== ';')
  const isOpen = status === 'T' || status === 'E'
  const mustHave = (what: string, isSent: boolean): void => {
    if (!isSent) report(`${policy} after ${status} sent ${sent.join() || 'nothing'}, not ${what}`)
  }
  if (policy === 'discard') {
    if (hasWorked || isOpen) mustHave('DISCARD ALL', sent.includes('DISCARD ALL'))
  } else if (policy === 'session') {
    if (hasWorked || isOpen)
      mustHave(
        'CLOSE ALL',
        sent.some((sql) => sql.startsWith('CLOSE ALL')),
      )
  } else if (policy.startsWith('a function')) {
    if ((recorder.resetCalls.get(connection.client) ?? 0) === resetFacts.resetCalls)
      report('its reset function was not called')
  } else if (isOpen) {
    if (policy === 'none') report("'none' doesn't reset an open transaction")
    else if (policy === 'commit' && status === 'T') mustHave('COMMIT', sent.includes('COMMIT'))
    else mustHave('ROLLBACK', sent.includes('ROLLBACK'))
  } else if (status === 'I' && sent.length > 0) {
    report(`it was clean, and ${sent.join()} was sent`)
  }
}

/** Checks whether this connection may be retired for this reason. */
export function checkRetirement(recorder: EventRecorder, connection: Connection, reason: RetireReason): void {
  const { engine, server } = recorder.fixture
  if (reason === 'idle-timeout' && engine.inventory.idleCount < recorder.options.min)
    recorder.violations.push(`only ${engine.inventory.idleCount} are left idle of ${recorder.options.min}`)
  const resetFacts = recorder.resetFacts.get(connection)
  if (resetFacts?.policy !== 'commit' || resetFacts.status !== 'T') return
  const isWithoutReset =
    reason === 'lost' || reason === 'discarded' || reason === 'other-process' || reason === 'disposed'
  if (!isWithoutReset && !server.backend(connection.id).received.slice(resetFacts.received).includes('COMMIT'))
    recorder.violations.push(`connection ${connection.id} was retired as ${reason} before its COMMIT`)
}

/** Checks whether this caller was refused for a true reason. */
export function checkRefusal(recorder: EventRecorder, caller: SimulatedCaller, error: Error & { code?: string }): void {
  if (error.code === 'HOLDFAST_POOL_TIMEOUT') {
    if (recorder.fixture.clock.now() < caller.until)
      recorder.violations.push('a caller was timed out before its deadline')
  } else if (error.code === 'HOLDFAST_POOL_OVERLOADED') {
    if (recorder.queue.length < recorder.options.maxWaiting)
      recorder.violations.push('a caller was refused though the queue had room')
  } else if (error.code === 'HOLDFAST_POOL_CLOSED') {
    if (recorder.closedAt === undefined)
      recorder.violations.push('a caller was told that the pool is closed, and it is not')
  } else if (error === caller.controller?.signal.reason) {
    if (!caller.controller?.signal.aborted)
      recorder.violations.push('a caller was told that its signal is aborted, and it is not')
  } else if (!hasFailedOf(recorder, error)) {
    recorder.violations.push(`a caller was told: ${error.message}`)
  }
}

/** Whether an attempt to open a connection has failed with this error. */
function hasFailedOf(recorder: EventRecorder, error: Error): boolean {
  return recorder.fixture.events.some(
    (event) =>
      event.type === 'connect-failed' && (event.error === error || (event.error as Error).cause === error.cause),
  )
}
