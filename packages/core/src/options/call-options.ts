import { OptionsError } from '../errors.ts'
import { propertyOf } from '../thrown.ts'
import { checkGroupKeys, checkResetPolicy, Problems, readOptions, withoutUndefined } from './check.ts'
import type { ResetPolicy } from './pool-options.ts'

/** What a single caller can set differently from the pool's options. */
export interface AcquireOptions {
  /**
   * Stops waiting for a connection: the caller leaves the queue at once, and rejects with the reason of the signal. In
   * `withPoolOptions`, in `transaction` and in `query`, the signal also makes the server cancel the statement that is
   * running. It doesn't cancel a cursor or a stream, which its holder closes, nor a statement in pipeline mode, where the
   * server may be running another one.
   */
  readonly signal?: AbortSignal | undefined
  /** The longest time that this caller waits for a connection, in milliseconds. 0 means no limit. @default the pool's */
  readonly connectionTimeoutMillis?: number | undefined
  /** How the session is reset when this lease ends. @default the pool's */
  readonly resetOnReturn?: ResetPolicy | undefined
  /** What the connection is used for, in `inspect()`, in timeout errors and in warnings of leaks. @default none */
  readonly label?: string | undefined
  /**
   * Where the connection comes from, if the pool has `replicas`: `'reader'` is `pool.reader`. Only what merely reads may be sent
   * there.
   *
   * @default 'primary': the pool itself
   */
  readonly target?: 'primary' | 'reader' | undefined
  /**
   * Read your writes: `pool.reader` leases only a connection whose server has replayed the WAL up to this position, an LSN as
   * `pg_current_wal_lsn()` returns it after the write. Under `fallback: 'primary'` a caller waits for a second at most, or half
   * of its deadline, and then gets a connection of the pool itself; else until its deadline (`NoReplicaError`).
   */
  readonly after?: string | undefined
}

/** The options of `dispose()`. */
export interface DisposeOptions {
  /**
   * `false` leaves the sockets open and sends nothing to the server: for a process that shares its sockets with another
   * process, whose sessions would otherwise end.
   *
   * @default true
   */
  readonly close?: boolean | undefined
}

/** The options of `drain()`. */
export interface DrainOptions {
  /** `false` only waits until no connection is in use, and closes nothing when the time is over. @default true */
  readonly close?: boolean | undefined
}

/** The options of `ping()`. */
export interface PingOptions {
  /** How long to wait for an answer, in milliseconds. @default 5000 */
  readonly timeoutMillis?: number | undefined
}

/** The options of `ready()`. */
export interface ReadyOptions {
  /** How long to keep trying, in milliseconds. @default 30000 */
  readonly timeoutMillis?: number | undefined
}

// Complete by its type: a new option must be added here.
const KEYS: Record<keyof AcquireOptions, true> = {
  signal: true,
  connectionTimeoutMillis: true,
  resetOnReturn: true,
  label: true,
  target: true,
  after: true,
}

/** The position of a byte in the WAL: two hexadecimal numbers of 32 bits. */
const LSN = /^[0-9a-f]{1,8}\/[0-9a-f]{1,8}$/i

/** The names of the `AcquireOptions`. */
export const ACQUIRE_KEYS: readonly string[] = Object.keys(KEYS)

/** The largest delay of a timer. */
const LONGEST_MILLIS = 2 ** 31 - 1

/**
 * Checks `AcquireOptions`; `of` is the function that they were given to.
 *
 * @throws {OptionsError} that names every problem.
 */
export function checkAcquireOptions(of: string, given: AcquireOptions): void {
  const problems = new Problems()
  problems.group(of, given, '{ signal }')
  readOptions(of, () => {
    checkGroupKeys(of, given, ACQUIRE_KEYS, problems)
    addAcquireProblems(of, given, problems)
  })
  if (problems.found.length > 0) throw new OptionsError(problems.found)
}

/** Adds what is wrong with `AcquireOptions` to `problems`. */
export function addAcquireProblems(of: string, given: AcquireOptions, problems: Problems): void {
  const { signal, connectionTimeoutMillis, resetOnReturn, label, target, after } = given
  if (signal !== undefined && !isSignal(signal)) problems.add(`${of}.signal`, 'an AbortSignal', signal)
  if (connectionTimeoutMillis !== undefined)
    problems.number(`${of}.connectionTimeoutMillis`, connectionTimeoutMillis, 0)
  if (label !== undefined && typeof label !== 'string') problems.add(`${of}.label`, 'a text', label)
  if (resetOnReturn !== undefined) checkResetPolicy(`${of}.resetOnReturn`, resetOnReturn, problems)
  if (target !== undefined) problems.oneOf(`${of}.target`, target, ['primary', 'reader'])
  if (after !== undefined && !(typeof after === 'string' && LSN.test(after)))
    problems.add(`${of}.after`, "an LSN, such as '16/B374D848'", after)
}

/** Whether a value is a signal, even if it comes from another realm. */
export function isSignal(signal: unknown): signal is AbortSignal {
  const has = (method: string): boolean => typeof propertyOf(signal, method) === 'function'
  return has('addEventListener') && has('throwIfAborted')
}

/**
 * Checks the options of `dispose()`, and answers whether to close the sockets.
 *
 * @throws {OptionsError} that names every problem.
 */
export function resolveDispose(given: DisposeOptions): boolean {
  return readOptions('dispose', () => {
    const problems = new Problems()
    problems.group('dispose', given, '{ close: false }')
    return closeIn('dispose', given, problems)
  })
}

/**
 * Checks what `drain()` was given, and answers whether to close the pool.
 *
 * @throws {OptionsError} that names every problem.
 */
export function resolveDrain(millis: unknown, given: DrainOptions): boolean {
  return readOptions('drain', () => {
    const problems = new Problems()
    const isTime = typeof millis === 'number' && millis >= 0 && millis <= LONGEST_MILLIS
    if (!isTime) problems.add('drain(millis)', `a number from 0 to ${LONGEST_MILLIS}`, millis)
    problems.group('drain', given, '{ close: false }')
    return closeIn('drain', given, problems)
  })
}

const HEALTH_MILLIS = { ping: 5000, ready: 30_000 } as const

/**
 * Checks the options of `ping()` or `ready()`, and answers how long they may take, in milliseconds.
 *
 * @throws {OptionsError} that names every problem.
 */
export function resolveHealthMillis(of: keyof typeof HEALTH_MILLIS, given: PingOptions | ReadyOptions = {}): number {
  return readOptions(of, () => {
    const problems = new Problems()
    problems.group(of, given, '{ timeoutMillis: 1000 }')
    checkGroupKeys(of, withoutUndefined(given), ['timeoutMillis'], problems)
    const { timeoutMillis = HEALTH_MILLIS[of] } = given
    const isTime = typeof timeoutMillis === 'number' && timeoutMillis > 0 && timeoutMillis <= LONGEST_MILLIS
    if (!isTime) problems.add(`${of}.timeoutMillis`, `a number above 0, up to ${LONGEST_MILLIS}`, timeoutMillis)
    if (problems.found.length > 0) throw new OptionsError(problems.found)
    return timeoutMillis
  })
}

function closeIn(of: string, given: { readonly close?: boolean | undefined }, problems: Problems): boolean {
  const { close = true } = given
  checkGroupKeys(of, withoutUndefined(given), ['close'], problems)
  problems.oneOf(`${of}.close`, close, [true, false])
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return close
}

/** What a config may ask of a pool. */
interface StatementConfig {
  readonly idempotent?: unknown
  readonly transactional?: unknown
  readonly retryRead?: unknown
}

/** Only a pool can run a statement again, or in a transaction of its own. A client must not ignore that in silence. */
export function poolOptionRefusal({ idempotent, transactional, retryRead }: StatementConfig): Error | undefined {
  if (!idempotent && !transactional && (retryRead === undefined || typeof retryRead === 'boolean')) return undefined
  const problems = new Problems()
  if (idempotent)
    problems.found.push(
      '`query.idempotent` works with `pool.query` only: a client can send nothing over another connection.',
    )
  if (transactional)
    problems.found.push('`query.transactional` works with `pool.query` only. Elsewhere, use `pool.transaction(fn)`.')
  if (retryRead !== undefined) problems.oneOf('query.retryRead', retryRead, [true, false])
  return new OptionsError(problems.found)
}
