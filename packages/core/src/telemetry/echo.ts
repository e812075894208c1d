import type { Logger, StructuredLogger } from '../options/pool-options.ts'
import type { EchoLevel } from '../options/read-values.ts'
import { DEAD } from '../policy/death.ts'
import type { RetireReason } from '../policy/retirement.ts'
import { isError } from '../thrown.ts'
import type { EventConnection, Listener, PoolEvent, PoolEventType, StatementRetryReason, WatchLimit } from './events.ts'
import { lineWriter } from './log-line.ts'
import { duration, millis, oneLine, reasonOf, withBackend } from './log-text.ts'
import type { PoolStatus } from './status.ts'

/** What the echo needs. */
export interface EchoParts {
  readonly name: string
  readonly level: Exclude<EchoLevel, false>
  readonly logger: Logger | StructuredLogger
  readonly status: () => PoolStatus
}

type Line = readonly [level: 'debug' | 'info' | 'error', text: string]

/** The most important level that each type of event is logged at. `none`: it is a warning, with or without an echo. */
const LOUDEST: Record<PoolEventType, 'debug' | 'info' | 'none'> = {
  'connection-opened': 'debug',
  'connect-failed': 'debug',
  'connection-pinged': 'debug',
  'connection-leased': 'debug',
  'acquire-failed': 'info',
  'pool-overloaded': 'info',
  'connection-leak-suspected': 'none',
  'connection-released': 'debug',
  'connection-reset': 'debug',
  'connection-lost': 'debug',
  'connection-declared-dead': 'info',
  'watch-limited': 'debug',
  'connection-retired': 'info',
  'connection-closed': 'debug',
  'pool-invalidated': 'info',
  'pool-disposed': 'info',
  'process-suspended': 'info',
  'process-changed': 'info',
  'capacity-exceeded': 'none',
  'budget-unanswered': 'none',
  'transaction-left-open': 'none',
  'host-changed': 'info',
  'standby-refused-write': 'none',
  'former-primary': 'none',
  'pooler-found': 'info',
  'session-needed': 'none',
  recovered: 'info',
  'transaction-retried': 'info',
  'statement-retried': 'info',
  'prepare-stopped': 'info',
  'commit-resolved': 'info',
  'session-fenced': 'info',
  'listening-lost': 'info',
  'listening-again': 'info',
  'pool-closed': 'info',
}

/** Writes what SQLAlchemy's pool log writes, in the same words, so that its readers can read this one too. */
export function echo({ name, level, logger, status }: EchoParts): Listener {
  const saysDebug = level === 'debug'
  const write = lineWriter(logger, name)
  return {
    wants: (type) => LOUDEST[type] === 'info' || (saysDebug && LOUDEST[type] === 'debug'),
    subscriber(event) {
      const line = lineOf(event, status)
      if (!line || (line[0] === 'debug' && !saysDebug)) return
      write(line[0], { text: line[1] }, event)
    },
  }
}

function lineOf(event: PoolEvent, status: () => PoolStatus): Line | undefined {
  switch (event.type) {
    case 'connection-opened':
      return ['debug', `Created new ${withBackend(event.connection)} in ${millis(event.tookMillis)}`]
    case 'connect-failed':
      return ['debug', `Error on connect(): ${reasonOf(event.error)}`]
    case 'connection-pinged':
      return ['debug', `Pool pre-ping on connection ${event.connection.id}, answered in ${millis(event.tookMillis)}`]
    case 'connection-leased':
      return ['debug', `Connection ${event.connection.id} checked out from pool${afterWaiting(event.waitedMillis)}`]
    case 'acquire-failed':
      return [
        'info',
        `No connection checked out from pool after ${millis(event.waitedMillis)} (reason: ${reasonOf(event.error)})`,
      ]
    case 'connection-released':
      return ['debug', `Connection ${event.connection.id} being returned to pool, used for ${millis(event.heldMillis)}`]
    case 'connection-reset':
      return ['debug', `Connection ${event.connection.id} ${onReturn(event.by)}, in ${millis(event.tookMillis)}`]
    case 'connection-lost':
      return ['debug', lossOf(event)]
    case 'connection-declared-dead':
      return ['info', deathOf(event)]
    case 'watch-limited':
      return ['debug', `The watch can't tell slow statements from dead connections: ${WATCH_LIMITS[event.reason]}`]
    case 'connection-retired':
      return RETIRED[event.reason](event.connection.id, event.cause)
    case 'connection-closed':
      return ['debug', `Closed ${withBackend(event.connection)}`]
    case 'pool-invalidated':
      return ['info', invalidationOf(event)]
    case 'pool-disposed':
      return ['info', `Pool disposed. ${status()}`]
    case 'process-suspended':
      return ['info', 'The process stood still, or its clock was set; every pooled connection needs a pre-ping']
    case 'process-changed':
      return [
        'info',
        `Connections belong to pid ${event.from}, attempting to check out in pid ${event.to}; dropping all`,
      ]
    case 'pool-overloaded':
      return [
        'info',
        `Overloaded, ${event.waiting} waiting; refusing those that wait for ${millis(event.targetMillis)}. ${status()}`,
      ]
    case 'host-changed':
      return [
        'info',
        `Connecting to ${event.to.host}:${event.to.port}${roleOf(event)}, no longer to ${event.from.host}:${event.from.port}`,
      ]
    case 'pooler-found':
      return ['info', poolerOf(event)]
    case 'recovered':
      return ['info', `Connected again after ${duration(event.afterMillis)}${afterFailures(event.failedAttempts)}`]
    case 'transaction-retried':
      return ['info', `Transaction runs again, ${attemptOf(event)} (reason: ${reasonOf(event.error)})`]
    case 'statement-retried':
      return [
        'info',
        `Statement runs again, ${attemptOf(event)}, ${MAY_RUN_AGAIN[event.reason]} (reason: ${reasonOf(event.error)})`,
      ]
    case 'prepare-stopped':
      return ['info', stopOf(event)]
    case 'commit-resolved':
      return ['info', resolutionOf(event)]
    case 'session-fenced':
      return [
        'info',
        `Terminated backend ${event.backendPid} in ${millis(event.tookMillis)}: its connection is lost, and its transaction was open`,
      ]
    case 'listening-lost':
      return ['info', `Nothing is heard of ${channels(event.channels)} (reason: ${reasonOf(event.cause)})`]
    case 'listening-again':
      return ['info', `Listening again to ${channels(event.channels)}; missed up to ${duration(event.gapMillis)}`]
    case 'pool-closed':
      return ['info', `Pool closed. ${status()}`]
    case 'connection-leak-suspected':
    case 'capacity-exceeded':
    case 'budget-unanswered':
    case 'transaction-left-open':
    case 'standby-refused-write':
    case 'former-primary':
    case 'session-needed':
      return undefined
  }
}

function channels(count: number): string {
  return count === 1 ? '1 channel' : `${count} channels`
}

const RETIRED: Record<RetireReason, (id: EventConnection['id'], cause: unknown) => Line> = {
  lost: (id, cause) => ['info', `Invalidate connection ${id} (reason: ${reasonOf(cause)})`],
  discarded: (id, cause) => ['info', `Invalidate connection ${id} (reason: ${discardOf(cause)})`],
  invalidated: (id) => ['info', `Connection ${id} invalidated due to pool invalidation; recycling`],
  expired: (id) => ['info', `Connection ${id} exceeded timeout; recycling`],
  'max-uses': (id) => ['info', `Connection ${id} exceeded maxUses; recycling`],
  spoilt: (id) => ['info', `Connection ${id} has a session that is broken until it ends; recycling`],
  'reset-failed': (id, cause) => [
    'error',
    `Exception during reset or similar, on connection ${id}: ${reasonOf(cause)}`,
  ],
  'other-process': (id) => ['info', `Connection ${id} belongs to another process; dropping it without a word`],
  // These happen all day, or are logged for the whole pool, so a line for each is of little use.
  'max-idle': (id) => ['debug', `Closing connection ${id}, more than maxIdle`],
  budget: (id) => ['debug', `Closing connection ${id}, as another pool of the budget needs it`],
  'other-host': (id) => ['debug', `Closing connection ${id}, since another host suits`],
  'server-full': (id) => ['debug', `Closing connection ${id}, unused while the server is near its limit`],
  'idle-timeout': (id) => ['debug', `Closing connection ${id}, idle for too long`],
  disposed: (id) => ['debug', `Closing connection ${id}`],
  'pool-closed': (id) => ['debug', `Closing connection ${id}`],
}

const MAY_RUN_AGAIN: Record<StatementRetryReason, string> = {
  'gave-way': 'as it was cancelled for a write behind it',
  idempotent: 'as it is idempotent',
  'never-ran': 'as nothing of it ran',
  'plain-read': 'as it only reads',
  'rolled-back': 'as the server rolled it back',
  'stale-session': 'as nothing of it ran in a stale session',
  stalled: 'on another connection, as it waits behind one that takes long',
}

const LONGEST_TEXT = 200

function stopOf({
  reason,
  text,
  namedMillis = 0,
  unnamedMillis = 0,
}: Extract<PoolEvent, { type: 'prepare-stopped' }>): string {
  if (text === undefined) return 'Statements are no longer prepared (reason: their names are lost, as behind a pooler)'
  const because =
    reason === 'slower'
      ? `it took ${millis(namedMillis)} prepared, and ${millis(unnamedMillis)} otherwise`
      : 'its tables change often'
  return `Statement is no longer prepared (reason: ${because}): ${oneLine(text.slice(0, LONGEST_TEXT))}`
}

function poolerOf({ pooler, by }: Extract<PoolEvent, { type: 'pooler-found' }>): string {
  if (pooler === 'transaction')
    return 'The pooler gives each transaction another session (another process serves than before)'
  return `There is a pooler in front of the server (${by === 'words' ? 'it has said so itself' : 'another process serves than the login has named'})`
}

function roleOf({ role }: Extract<PoolEvent, { type: 'host-changed' }>): string {
  return role === undefined ? '' : ` (${role})`
}

function attemptOf({ attempt, pausedMillis }: { readonly attempt: number; readonly pausedMillis: number }): string {
  return `attempt ${attempt} after ${millis(pausedMillis)}`
}

function afterFailures(count: number): string {
  if (count === 0) return ''
  return count === 1 ? ', 1 attempt failed' : `, ${count} attempts failed`
}

function resolutionOf({
  connection,
  verdict,
  reason,
  tookMillis,
}: Extract<PoolEvent, { type: 'commit-resolved' }>): string {
  const lost = `COMMIT lost on ${withBackend(connection)}`
  const because = reason === undefined ? '' : ` (reason: ${oneLine(reason)})`
  return `${lost} resolved in ${millis(tookMillis)}: ${verdict}${because}`
}

function discardOf(cause: unknown): string {
  return isError(cause) ? `discarded, ${reasonOf(cause)}` : 'discarded'
}

function lossOf({ connection, loss, wasPinged, wasLeased }: Extract<PoolEvent, { type: 'connection-lost' }>): string {
  if (wasPinged) return `Pool pre-ping on connection ${connection.id} failed (reason: ${reasonOf(loss.cause)})`
  const where = wasLeased ? `checked out (phase: ${loss.phase}, outcome of its work: ${loss.commitOutcome})` : 'in pool'
  return `Connection ${connection.id} lost while ${where}`
}

const WATCH_LIMITS: Record<WatchLimit, string> = {
  'not-direct': 'its sessions are behind a pooler, or not of PostgreSQL',
  'insufficient-privilege': 'pg_stat_activity does not show its sessions',
  'another-server': 'another server answers',
}

function deathOf({
  connection,
  verdict,
  state,
  silentMillis,
}: Extract<PoolEvent, { type: 'connection-declared-dead' }>): string {
  const session = state === undefined ? '' : ` (state: ${oneLine(state)})`
  return `Dead ${withBackend(connection)}, silent for ${millis(silentMillis)}: ${DEAD[verdict]}${session}`
}

function invalidationOf({ cause, wasAsked }: Extract<PoolEvent, { type: 'pool-invalidated' }>): string {
  const what = wasAsked ? 'Invalidation asked for' : 'Disconnection detected'
  return `${what}, invalidating all pooled connections prior to current timestamp (reason: ${reasonOf(cause)})`
}

function onReturn(by: string): string {
  if (by === 'ROLLBACK') return 'rollback-on-return'
  return by === 'COMMIT' ? 'commit-on-return' : `reset-on-return by ${by}`
}

function afterWaiting(waitedMillis: number): string {
  return Math.round(waitedMillis) > 0 ? ` after ${millis(waitedMillis)}` : ''
}
