import type { QueryResult } from 'pg'
import { copyProperties } from '../driver/copy-config.ts'

/** What the driver calls when a statement has ended, and what tells its caller. */
export type Callback = (error: Error | null, result?: QueryResult) => void

/** The arguments of `query`, in each of pg's forms. */
export type QueryArguments = readonly [first?: unknown, second?: unknown, third?: unknown]

/** A statement as an object, with the properties that the pool reads. */
export interface QueryConfig {
  readonly text?: string
  readonly name?: string
  readonly values?: readonly unknown[]
  readonly rows?: number
  readonly query_timeout?: number
  readonly signal?: AbortSignal
  /** Only `pool.query` can do what this and the next ask for. */
  readonly idempotent?: unknown
  readonly transactional?: unknown
  readonly callback?: Callback
}

/**
 * A copy for the driver: without the timeout, which is ours, and with the object's own class, whose getters may provide the
 * text. It is copied because drivers before 8.23.1 leave our callback in it, where the caller's next call would find it.
 */
export function copyOf(config: QueryConfig): QueryConfig {
  const copy = copyProperties(config)
  if (config.query_timeout) copy.query_timeout = 0
  return copy
}

/** Whether the driver sends it by the protocol that takes values, which allows only one statement. */
export function hasValues(values: unknown[] | undefined, config: string | QueryConfig): boolean {
  if (typeof config === 'string') return (values?.length ?? 0) > 0
  return (values ?? config.values ?? []).length > 0 || config.name !== undefined
}
