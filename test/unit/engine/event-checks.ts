import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import type { RetireReason } from '../../../packages/core/src/policy/retirement.ts'
import type { EventRecorder } from './event-recorder.ts'
import type { SimulatedCaller } from './simulated-caller.ts'

/** Whether this connection may be leased to him. */
export function checkLease(recorder: EventRecorder, caller: SimulatedCaller, connection: Connection): void {
  const { clock, server } = recorder.fixture
  const { options } = recorder
  const now = clock.now()
  const report = (what: string): void => {
    recorder.violations.push(`connection ${connection.id} was leased though ${what}`)
  }
  if (!connection.is('leased')) report(`it is ${connection.state}`)
  if (connection.isLost) report('it is lost')
  if (recorder.invalid.has(connection)) report('it is condemned')
  if (recorder.retired.has(connection)) report('it is retired')
  if (recorder.holders.has(connection)) report('somebody holds it')
  if (caller.since > (recorder.closedAt ?? now)) report('the pool is closed')
  if (caller.controller?.signal.aborted) report('its caller has given up')
  if (now > caller.until) report('the deadline has passed')
  if (connection.uses > options.maxUses) report('it is used up')
  if (now - (recorder.opened.get(connection) ?? now) >= options.maxLifetimeMillis) report('it is too old')
  if (!connection.inSync) report('the server has not answered everything')
  if (connection.transactionStatus !== 'I') report(`its status is ${connection.transactionStatus}`)

  const { received } = server.backend(connection.id)
  const ofTransactions = received.filter((sql) => /^(?:begin|commit|rollback)/i.test(sql))
  if (ofTransactions.at(-1) === 'begin') report('the server has a transaction open')
  if (options.prePing) {
    if (now - connection.liveness.answeredAt > options.prePing.idleMillis) report('it was silent for too long')
    const suspectSince = recorder.suspect.get(connection)
    if (suspectSince !== undefined && received.length <= suspectSince) report('it is suspect')
  }
  recorder.suspect.delete(connection)
  checkReset(recorder, connection, received, report)
}

/** Whether it was reset as the holder before has wished, or the pool. */
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
    if ((recorder.resetCalls.get(connection.client) ?? 0) === resetFacts.resetCalls) report('its reset was not called')
  } else if (isOpen) {
    if (policy === 'none') report('none resets an open transaction')
    else if (policy === 'commit' && status === 'T') mustHave('COMMIT', sent.includes('COMMIT'))
    else mustHave('ROLLBACK', sent.includes('ROLLBACK'))
  } else if (status === 'I' && sent.length > 0) {
    report(`a clean one was sent ${sent.join()}`)
  }
}

/** Whether this connection may go, for this reason. */
export function checkRetirement(recorder: EventRecorder, connection: Connection, reason: RetireReason): void {
  const { engine, server } = recorder.fixture
  if (reason === 'idle-timeout' && engine.inventory.idleCount < recorder.options.min)
    recorder.violations.push(`only ${engine.inventory.idleCount} are left idle of ${recorder.options.min}`)
  const resetFacts = recorder.resetFacts.get(connection)
  if (resetFacts?.policy !== 'commit' || resetFacts.status !== 'T') return
  const isAsItWishes =
    reason === 'lost' || reason === 'discarded' || reason === 'other-process' || reason === 'disposed'
  if (!isAsItWishes && !server.backend(connection.id).received.slice(resetFacts.received).includes('COMMIT'))
    recorder.violations.push(`connection ${connection.id} was retired as ${reason} before its COMMIT`)
}

/** Whether he was told the truth. */
export function checkRefusal(recorder: EventRecorder, caller: SimulatedCaller, error: Error & { code?: string }): void {
  if (error.code === 'HOLDFAST_POOL_TIMEOUT') {
    if (recorder.fixture.clock.now() < caller.until)
      recorder.violations.push('somebody was told before his deadline that it has passed')
  } else if (error.code === 'HOLDFAST_POOL_OVERLOADED') {
    if (recorder.queue.length < recorder.options.maxWaiting)
      recorder.violations.push('somebody was refused by a line with room')
  } else if (error.code === 'HOLDFAST_POOL_CLOSED') {
    if (recorder.closedAt === undefined) recorder.violations.push('somebody was told of a close that was none')
  } else if (error === caller.controller?.signal.reason) {
    if (!caller.controller?.signal.aborted) recorder.violations.push('somebody was told of a signal that was none')
  } else if (!hasFailedOf(recorder, error)) {
    recorder.violations.push(`somebody was told ${error.message}`)
  }
}

/** Whether an attempt to open a connection has failed of this. */
function hasFailedOf(recorder: EventRecorder, error: Error): boolean {
  return recorder.fixture.events.some(
    (event) =>
      event.type === 'connect-failed' && (event.error === error || (event.error as Error).cause === error.cause),
  )
}
