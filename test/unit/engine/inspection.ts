import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import type { RetireReason } from '../../../packages/core/src/policy/retirement.ts'
import type { ExpectedCounts } from './expected-counts.ts'
import type { SimulatedCaller } from './simulated-caller.ts'

/** Whether this connection may be leased to him. */
export function inspectLease(ledger: ExpectedCounts, visit: SimulatedCaller, connection: Connection): void {
  const { clock, server } = ledger.rig
  const { options } = ledger
  const now = clock.now()
  const complain = (what: string): void => {
    ledger.complaints.push(`connection ${connection.id} was leased though ${what}`)
  }
  if (!connection.is('leased')) complain(`it is ${connection.state}`)
  if (connection.isLost) complain('it is lost')
  if (ledger.condemned.has(connection)) complain('it is condemned')
  if (ledger.retired.has(connection)) complain('it is retired')
  if (ledger.holders.has(connection)) complain('somebody holds it')
  if (visit.since > (ledger.closedAt ?? now)) complain('the pool is closed')
  if (visit.controller?.signal.aborted) complain('its caller has given up')
  if (now > visit.until) complain('the deadline has passed')
  if (connection.uses > options.maxUses) complain('it is used up')
  if (now - (ledger.opened.get(connection) ?? now) >= options.maxLifetimeMillis) complain('it is too old')
  if (!connection.inSync) complain('the server has not answered everything')
  if (connection.transactionStatus !== 'I') complain(`its status is ${connection.transactionStatus}`)

  const { received } = server.backend(connection.id)
  const ofTransactions = received.filter((sql) => /^(?:begin|commit|rollback)/i.test(sql))
  if (ofTransactions.at(-1) === 'begin') complain('the server has a transaction open')
  if (options.prePing) {
    if (now - connection.liveness.answeredAt > options.prePing.idleMillis) complain('it was silent for too long')
    const suspectSince = ledger.suspect.get(connection)
    if (suspectSince !== undefined && received.length <= suspectSince) complain('it is suspect')
  }
  ledger.suspect.delete(connection)
  inspectReset(ledger, connection, received, complain)
}

/** Whether it was reset as the holder before has wished, or the pool. */
function inspectReset(
  ledger: ExpectedCounts,
  connection: Connection,
  received: readonly string[],
  complain: (what: string) => void,
): void {
  const dues = ledger.dues.get(connection)
  if (!dues) return
  ledger.dues.delete(connection)
  const { policy, status, hasWorked } = dues
  const sent = received.slice(dues.received).filter((sql) => sql !== ';')
  const isOpen = status === 'T' || status === 'E'
  const mustHave = (what: string, isSent: boolean): void => {
    if (!isSent) complain(`${policy} after ${status} sent ${sent.join() || 'nothing'}, not ${what}`)
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
    if ((ledger.resetCalls.get(connection.client) ?? 0) === dues.resetCalls) complain('its reset was not called')
  } else if (isOpen) {
    if (policy === 'none') complain('none resets an open transaction')
    else if (policy === 'commit' && status === 'T') mustHave('COMMIT', sent.includes('COMMIT'))
    else mustHave('ROLLBACK', sent.includes('ROLLBACK'))
  } else if (status === 'I' && sent.length > 0) {
    complain(`a clean one was sent ${sent.join()}`)
  }
}

/** Whether this connection may go, for this reason. */
export function inspectRetirement(ledger: ExpectedCounts, connection: Connection, reason: RetireReason): void {
  const { engine, server } = ledger.rig
  if (reason === 'idle-timeout' && engine.inventory.idleCount < ledger.options.min)
    ledger.complaints.push(`only ${engine.inventory.idleCount} are left idle of ${ledger.options.min}`)
  const dues = ledger.dues.get(connection)
  if (dues?.policy !== 'commit' || dues.status !== 'T') return
  const isAsItWishes =
    reason === 'lost' || reason === 'discarded' || reason === 'other-process' || reason === 'disposed'
  if (!isAsItWishes && !server.backend(connection.id).received.slice(dues.received).includes('COMMIT'))
    ledger.complaints.push(`connection ${connection.id} was retired as ${reason} before its COMMIT`)
}

/** Whether he was told the truth. */
export function inspectRefusal(ledger: ExpectedCounts, visit: SimulatedCaller, error: Error & { code?: string }): void {
  if (error.code === 'HOLDFAST_POOL_TIMEOUT') {
    if (ledger.rig.clock.now() < visit.until)
      ledger.complaints.push('somebody was told before his deadline that it has passed')
  } else if (error.code === 'HOLDFAST_POOL_OVERLOADED') {
    if (ledger.line.length < ledger.options.maxWaiting)
      ledger.complaints.push('somebody was refused by a line with room')
  } else if (error.code === 'HOLDFAST_POOL_CLOSED') {
    if (ledger.closedAt === undefined) ledger.complaints.push('somebody was told of a close that was none')
  } else if (error === visit.controller?.signal.reason) {
    if (!visit.controller?.signal.aborted) ledger.complaints.push('somebody was told of a signal that was none')
  } else if (!hasFailedOf(ledger, error)) {
    ledger.complaints.push(`somebody was told ${error.message}`)
  }
}

/** Whether an attempt to open a connection has failed of this. */
function hasFailedOf(ledger: ExpectedCounts, error: Error): boolean {
  return ledger.rig.events.some(
    (event) =>
      event.type === 'connect-failed' && (event.error === error || (event.error as Error).cause === error.cause),
  )
}
