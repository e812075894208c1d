import type { Client, QueryResult } from 'pg'
import { copyProperties, copyWith } from '../driver/copy-config.ts'
import { failSubmittable, type Submittable, trackSubmittable } from '../driver/submittable.ts'
import { OptionsError, ReleaseError } from '../errors.ts'
import { abortReason } from '../runtime/abort.ts'
import { endedAttempt } from '../runtime/pool-options-scope.ts'
import { failure } from '../runtime/stack.ts'
import { kindOf, onlyRollsBack, type StatementKind } from '../sql/statement.ts'
import { propertyOf } from '../thrown.ts'
import type { ClientOwner } from './client-owner.ts'

/** What the driver calls when a statement has ended, and what tells its caller. */
export type Callback = (error: Error | null, result?: QueryResult) => void

/** The arguments of `query`, in each of pg's forms. */
export type QueryArguments = readonly [first?: unknown, second?: unknown, third?: unknown]

/** A statement as an object, with the properties that the pool reads. */
export interface QueryConfig {
  readonly text?: string | undefined
  readonly name?: string | undefined
  readonly values?: readonly unknown[] | undefined
  readonly rows?: number | undefined
  readonly query_timeout?: number | undefined
  /** `false`: the pool doesn't prepare it by itself. */
  readonly prepare?: unknown
  readonly signal?: AbortSignal | undefined
  /** Only `pool.query` can do what this and the next ask for. */
  readonly idempotent?: unknown
  readonly transactional?: unknown
  readonly callback?: Callback | undefined
}

/**
 * A copy for the driver: without the timeout, which is ours, and with the object's own class, whose getters may provide the
 * text. It is copied because drivers before 8.23.1 leave our callback in it, where the caller's next call would find it.
 */
export function copyOf(config: QueryConfig, values: unknown[] | undefined): QueryConfig {
  const copy: ReturnType<typeof copyProperties<QueryConfig & { queryMode?: string }>> = copyProperties(config)
  if (config.query_timeout) copy.query_timeout = 0
  // With values, it is the mode in any case. Said explicitly, it keeps the statement from being named.
  if (config.prepare === false && hasValues(values, config)) copy.queryMode = 'extended'
  return copy
}

/**
 * The same statement, to be sent behind others: by the protocol that allows only one statement in a text. A name of the caller's
 * is left out, since the driver may believe that the server has it while its first use is still on its way.
 */
export function followerOf(config: string | QueryConfig, values: unknown[] | undefined): string | QueryConfig {
  const isText = typeof config === 'string'
  if (isText && hasValues(values, config)) return config
  const copy: QueryConfig & { queryMode?: string } = isText ? { text: config } : copyOf(config, values)
  const { length } = values ?? copy.values ?? []
  return Object.assign(copy, { name: undefined }, length === 0 && { queryMode: 'extended' })
}

/** The callback, in the form that has one. It may be no function: the driver refuses that. */
export function callbackOf(first: unknown, second: unknown, third: unknown): unknown {
  return typeof second === 'function' ? second : (third ?? (first as { callback?: unknown } | null)?.callback)
}

/** The SQL text, as far as it is known. */
export function textOf(first: unknown): string | undefined {
  const text = typeof first === 'string' ? first : (first as { text?: unknown } | null | undefined)?.text
  return typeof text === 'string' ? text : undefined
}

/** Whether this is a cursor, a stream or pg's own `Query`: the driver submits it, and tells it what the server answers. */
export function isSubmittable<Kind>(query: unknown): query is Kind {
  return typeof (query as { submit?: unknown } | null)?.submit === 'function'
}

/** What a statement does to its transaction, as it is sent: the protocol that takes values allows only one statement. */
export function kindToSend(config: string | QueryConfig, values: unknown[] | undefined): StatementKind {
  if (typeof config === 'string') return kindOf(config, hasValues(values, config))
  // With `rows` the driver asks for one portion after the other.
  return config.rows ? 'opaque' : kindOf(config.text, hasValues(values, config))
}

/** Whether the caller doesn't want this statement to be enclosed, although the pool has `transactionalWrites`. */
export function isExempt(config: string | QueryConfig): boolean {
  return typeof config !== 'string' && config.transactional === false
}

/** The same statement for which that holds. */
export function exempt(config: string | QueryConfig): QueryConfig {
  return typeof config === 'string'
    ? { text: config, transactional: false }
    : copyWith(config, { transactional: false })
}

/** Whether the driver sends it by the protocol that takes values. */
function hasValues(values: unknown[] | undefined, config: string | QueryConfig): boolean {
  if (typeof config === 'string') return (values?.length ?? 0) > 0
  return (values ?? config.values ?? []).length > 0 || config.name !== undefined
}

/** Why a statement isn't sent; undefined if it is. */
export function refusalOf(
  owner: ClientOwner,
  text: string | undefined,
  signal: AbortSignal | undefined,
): Error | undefined {
  return owner.refusal(text) ?? endedAttemptRefusal(owner) ?? signalRefusal(signal, text)
}

/**
 * The function of a transaction may run on when its attempt has ended. It must not use the session of the next lease. A client
 * of one lease refuses by itself. One that all leases share can't tell its holders apart, except by the transaction.
 */
function endedAttemptRefusal({ isClientShared, isLeased, lease }: ClientOwner): Error | undefined {
  if (!isClientShared || !isLeased || !endedAttempt()?.mustNotUse(lease)) return undefined
  return new ReleaseError('The transaction of this client has ended: it may not be used any more.')
}

/** A statement whose caller has given up isn't sent. A rollback always is. */
function signalRefusal(signal: AbortSignal | undefined, text: string | undefined): Error | undefined {
  if (signal !== undefined && typeof propertyOf(signal, 'addEventListener') !== 'function')
    return new OptionsError(['`signal` must be an AbortSignal (of an AbortController it is `.signal`).'])
  return signal?.aborted && !onlyRollsBack(text) ? abortReason(signal) : undefined
}

/** Refuses a call of `query`, in the form in which it would have been answered. Nothing is sent. */
export function refuseQuery(client: Client, [first, second, third]: QueryArguments, refusal: Error): unknown {
  if (first === null || first === undefined) return client.query(first as never) // Throws the driver's own TypeError.
  const callback = callbackOf(first, second, third)
  if (callback && typeof callback !== 'function') throw new TypeError('callback is not a function')
  if (isSubmittable<Submittable>(first))
    return refuseSubmittable(client, first, callback as Callback | undefined, refusal)
  if (!callback) return new Promise((resolve) => resolve(failure(refusal)))
  process.nextTick(callback as Callback, refusal)
  return undefined
}

/** Tells a cursor or a stream that it isn't submitted. Later reads from it fail, too. */
function refuseSubmittable(
  client: Client,
  submittable: Submittable,
  callback: Callback | undefined,
  refusal: Error,
): Submittable {
  trackSubmittable(client, submittable, callback as never, {
    isOver: () => true,
    errorFor: () => refusal,
    startTimeout: () => undefined,
    onEnd: () => {},
    refusal: () => refusal,
  })
  failSubmittable(client, submittable, refusal)
  return submittable
}
