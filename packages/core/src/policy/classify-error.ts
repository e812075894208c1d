import { ConnectionLostError } from '../errors.ts'
import { codeOf, errorsIn, isError, isInstance, messageOf, nameOf, propertyOf } from '../thrown.ts'
import { poolerMeaning } from './pooler-words.ts'
import { severityOf } from './severity.ts'
import { factsOf } from './sqlstate.ts'
import { isStale } from './stale-statement.ts'

export { severityOf } from './severity.ts'

/** Whether this message of the server ends the session it arrived in: the connection must never be leased again. */
export function endsSession(message: unknown): boolean {
  const severity = severityOf(message)
  if (severity === 'FATAL' || severity === 'PANIC') return true
  // A foreign table may report 08006 about a connection of its own, with the session in best health.
  if (severity === undefined || severity === 'ERROR') return false
  // The server translates its severities (lc_messages); codes it doesn't.
  return factsOf(codeOf(message)).disconnect === true
}

/** Whether the driver says that it received what it didn't wait for: an answer without a question, or of an unknown kind. */
export function isUnexpectedMessage(error: unknown): boolean {
  return severityOf(error) === undefined && UNEXPECTED_MESSAGE.test(messageOf(error))
}

/** Whether a loss by this cause condemns the connections beside it, or was that session's own fault. */
export function concernsOthers(cause: unknown): boolean {
  return factsOf(codeOf(cause)).ownFault !== true
}

// pg gives these no code. The last resort, and the reason why the lists are here and nowhere else.
const PASSING_MESSAGES = [
  'Connection terminated unexpectedly',
  'There was an error establishing an SSL connection', // The postmaster could not fork a backend.
  'Client network socket disconnected before secure TLS connection was established',
]
const REFUSED_BY_POOLER = '08P01' // For PgBouncer whatever it refuses, a wrong password included.
const UNEXPECTED_MESSAGE = /^(?:Received unexpected \w+ message from backend|received invalid response: )/
const DISCONNECT_MESSAGES = [
  'Connection terminated',
  'Connection terminated unexpectedly',
  'Client has encountered a connection error and is not queryable',
]

/**
 * Whether a failed attempt to connect is worth another one. Everything that isn't known to pass (bad password,
 * unknown database, bad certificate) is final.
 */
export function mayConnectAgain(error: unknown, hasConnectedBefore: boolean): boolean {
  if (isInstance(error, AggregateError))
    return leavesOf(error).some((each) => mayConnectAgain(each, hasConnectedBefore))
  const code = codeOf(error)
  // A Unix socket that is missing comes back with its server; a missing certificate file doesn't.
  if (code === 'ENOENT') return isSystemCall(error, 'connect')
  // Handshakes that never worked won't: no common cipher, a certificate refused. Damaged bytes are another matter.
  if (isTlsCode(code)) return hasConnectedBefore || /BAD_RECORD_MAC|DECRYPT/.test(code)
  // An unknown host is a typo, unless the name has worked before: then it's a hiccup of the resolver.
  if (code === 'ENOTFOUND') return hasConnectedBefore
  if (factsOf(code).connectAgain) return true
  // Not the server's word, but what the driver makes of none: bytes were damaged, or there is no PostgreSQL at all.
  if (code === REFUSED_BY_POOLER && severityOf(error) === undefined) return hasConnectedBefore
  const meaning = poolerMeaning(error)
  if (meaning) return meaning !== 'final'
  return code === undefined && PASSING_MESSAGES.includes(messageOf(error))
}

/** The same for a question of the pool's own, after others have connected: to ask a pooler once more does no harm. */
export function mayAskAgain(error: unknown): boolean {
  return codeOf(error) === REFUSED_BY_POOLER || mayConnectAgain(error, true)
}

/**
 * Whether this error, or one it was caused by, means that a connection was lost. Judges by the connection's state
 * first (it is a `ConnectionLostError`), by SQLSTATE or errno second, by message last. Walks `cause` and TypeORM's
 * `driverError`.
 */
export function isDisconnect(error: unknown): boolean {
  return someInChain(error, (each) => {
    if (isConnectionLost(each)) return true
    if (severityOf(each) !== undefined) return endsSession(each)
    return factsOf(codeOf(each)).disconnect === true || DISCONNECT_MESSAGES.includes(messageOf(each))
  })
}

/**
 * Whether the whole transaction may be run again because nothing of it can have been written: it was lost before
 * COMMIT was sent, rolled back by the server (40001, 40P01), not let in (53300, 57P03), or it met a prepared statement
 * that was stale and has been forgotten since. A lost COMMIT, 40003 and 08007 never are. Walks `cause` and TypeORM's `driverError`.
 */
export function isRetryable(error: unknown): boolean {
  const lost = findInChain(error, isConnectionLost)
  if (lost) return propertyOf(lost, 'commitOutcome') === 'aborted'
  return someInChain(error, (each) => factsOf(codeOf(each)).retryTransaction === true || isStale(each))
}

/** Whether `cause` is this error, or what it was caused by. */
export function isCausedBy(error: unknown, cause: unknown): boolean {
  return error === cause || someInChain(error, (each) => each === cause)
}

// Two copies of the package may be loaded, so the name is asked and not the class.
function isConnectionLost(error: unknown): error is ConnectionLostError {
  if (isInstance(error, ConnectionLostError)) return true
  return isError(error) && /^(?:ConnectionLost|CommitOutcomeUnknown)Error$/.test(nameOf(error) ?? '')
}

function isTlsCode(code: string | undefined): code is string {
  return code === 'EPROTO' || code?.startsWith('ERR_SSL_') === true
}

function isSystemCall(error: unknown, name: string): boolean {
  return isError(error) && propertyOf(error, 'syscall') === name
}

const DEEPEST_CHAIN = 8

// Not `instanceof Error`: Jest and node:vm have classes of their own.
function isObject(each: unknown): each is object {
  return typeof each === 'object' && each !== null
}

/** The errors that an AggregateError is made of, each of them once, though it may contain itself. */
function leavesOf(error: AggregateError): unknown[] {
  const seen = new Set<unknown>([error])
  for (const each of seen) for (const inner of errorsIn(each)) seen.add(inner)
  return [...seen].filter((each) => !isInstance(each, AggregateError))
}

function someInChain(error: unknown, test: (each: unknown) => boolean): boolean {
  return findInChain(error, (each): each is unknown => test(each)) !== undefined
}

function findInChain<Found>(error: unknown, test: (each: unknown) => each is Found): Found | undefined {
  let each = error
  for (let depth = 0; depth < DEEPEST_CHAIN && isObject(each); depth++) {
    if (test(each)) return each
    each = propertyOf(each, 'driverError') || propertyOf(each, 'cause')
  }
  return undefined
}
