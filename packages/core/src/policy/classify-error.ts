import { ConnectionLostError } from '../errors.ts'
import { codeOf, errorsIn, isError, isInstance, messageOf, nameOf, propertyOf } from '../thrown.ts'
import { poolerMeaning } from './pooler-words.ts'
import { factsOf, type Refusal, severityOf } from './sqlstate.ts'

export { severityOf } from './sqlstate.ts'

/** Whether this message of the server ends the session that it arrived in, so that the connection must never be leased again. */
export function endsSession(message: unknown): boolean {
  const severity = severityOf(message)
  if (severity === 'FATAL' || severity === 'PANIC') return true
  // A foreign table may report 08006 about a connection of its own, while the session is fine.
  if (severity === undefined || severity === 'ERROR') return false
  // The server translates its severities (lc_messages), but not its codes.
  return factsOf(codeOf(message)).disconnect === true
}

/** Whether the driver says that it received a message that it didn't expect, or that it doesn't know. */
export function isUnexpectedMessage(error: unknown): boolean {
  return severityOf(error) === undefined && UNEXPECTED_MESSAGE.test(messageOf(error))
}

// pg gives these errors no code, so their messages are compared, as a last resort and only here.
const PASSING_MESSAGES: readonly unknown[] = [
  'Connection terminated unexpectedly',
  'There was an error establishing an SSL connection', // The postmaster couldn't fork a backend.
  'Client network socket disconnected before secure TLS connection was established',
]
const UNEXPECTED_MESSAGE = /^(?:Received unexpected \w+ message from backend|received invalid response: )/
const DISCONNECT_MESSAGES = [
  'Connection terminated',
  'Connection terminated unexpectedly',
  'Client has encountered a connection error and is not queryable',
]

/** Whether this failure to connect has no code, and passes by itself. */
export function isPassing(error: unknown): boolean {
  return codeOf(error) === undefined && PASSING_MESSAGES.includes(messageOf(error))
}

/**
 * Whether connecting was refused at once, and why. Undefined for any other failure, and for what this package itself has
 * refused after a login.
 */
export function refusalOf(error: unknown): Refusal | undefined {
  if (isInstance(error, AggregateError)) return leavesOf(error).map(refusalOf).find(Boolean)
  if (poolerMeaning(error) === 'refused') return 'full' // It may have no server itself, but its connections live.
  const code = codeOf(error)
  if (code === undefined) return isPassing(error) ? 'closed' : undefined
  const isSqlState = /^\d/.test(code)
  const isOfSystem = code !== 'ENOENT' || isSystemCall(error, 'connect')
  return isOfSystem && (!isSqlState || severityOf(error) !== undefined) ? factsOf(code).refuses : undefined
}

/**
 * Whether this error, or one of its causes, means that a connection was lost. Judges by the connection's state first (it is a
 * `ConnectionLostError`), by SQLSTATE or errno second, by message last. Follows `cause` and TypeORM's `driverError`.
 */
export function isDisconnect(error: unknown): boolean {
  return someInChain(error, (each) => {
    if (isConnectionLost(each)) return true
    if (severityOf(each) !== undefined) return endsSession(each)
    return factsOf(codeOf(each)).disconnect === true || DISCONNECT_MESSAGES.includes(messageOf(each))
  })
}

/** Whether `cause` is this error, or one of its causes. */
export function isCausedBy(error: unknown, cause: unknown): boolean {
  return error === cause || someInChain(error, (each) => each === cause)
}

// Two copies of the package may be loaded, so this asks for the name and not for the class.
export function isConnectionLost(error: unknown): error is ConnectionLostError {
  if (isInstance(error, ConnectionLostError)) return true
  return isError(error) && /^(?:ConnectionLost|CommitOutcomeUnknown)Error$/.test(nameOf(error) ?? '')
}

/** Whether this call of the operating system has failed. */
export function isSystemCall(error: unknown, name: string): boolean {
  return isError(error) && propertyOf(error, 'syscall') === name
}

/**
 * Marks an error that only says that a prepared statement was stale: nothing ran, and the statement is prepared again by now.
 * A registered symbol, since several copies of the package may be loaded.
 */
export const STALE_STATEMENT: unique symbol = Symbol.for('holdfast.staleStatement')

/** Marks the error of a transaction that was rolled back since its server takes no writes: it may run again on another one. */
const PRIMARY_LOST: unique symbol = Symbol.for('holdfast.primaryLost')

/** Marks this error so: the server was asked, and takes no writes. */
export function markPrimaryLost(error: Error): void {
  Object.defineProperty(error, PRIMARY_LOST, { value: true })
}

/** Whether a write in a transaction was refused by a server that takes none: the transaction is over, and did nothing. */
export function isOfLostPrimary(error: unknown): boolean {
  return propertyOf(error, PRIMARY_LOST) === true
}

/** Whether it only says that a prepared statement was stale. */
export function isStale(error: unknown): boolean {
  return propertyOf(error, STALE_STATEMENT) === true
}

const DEEPEST_CHAIN = 8

// Not `instanceof Error`: Jest and node:vm have other classes of that name.
function isObject(each: unknown): each is object {
  return typeof each === 'object' && each !== null
}

/** The errors in an AggregateError, each of them once, even if it contains itself. */
export function leavesOf(error: AggregateError): unknown[] {
  const seen = new Set<unknown>([error])
  for (const each of seen) for (const inner of errorsIn(each)) seen.add(inner)
  return [...seen].filter((each) => !isInstance(each, AggregateError))
}

/** Whether the test is true of this error, or of one of its causes. */
export function someInChain(error: unknown, test: (each: unknown) => boolean): boolean {
  return findInChain(error, (each): each is unknown => test(each)) !== undefined
}

/** The first of this error and its causes of which the test is true. */
export function findInChain<Found>(error: unknown, test: (each: unknown) => each is Found): Found | undefined {
  let each = error
  for (let depth = 0; depth < DEEPEST_CHAIN && isObject(each); depth++) {
    if (test(each)) return each
    each = propertyOf(each, 'driverError') || propertyOf(each, 'cause')
  }
  return undefined
}
