import type { QueryResult } from 'pg'
import { isPlainReadOfAnySession } from './policy/enclosing.ts'
import { callerStack, engineOf, isInstrumented, type Pool } from './pool.ts'
import { acquireOptionsFor, QueryWaiter, type ResultCallback } from './pool-callers.ts'
import { failure } from './runtime/stack.ts'

/** For adapters: whether plain reads of this pool share connections (`maxPipeline`). */
export function sharesReads(pool: Pool): boolean {
  return engineOf(pool).placement !== undefined
}

/**
 * For adapters of ORMs that lease a connection for each statement: whether this text needs no lease of its caller's, so that
 * `readOn` may run it. It is a plain read: one SELECT, VALUES, TABLE or WITH that locks nothing, whose functions `pg_catalog`
 * declares immutable or stable, and that doesn't ask which session it runs in. The answer is no if reads of this pool share no
 * connections, or if the caller has options of its own (`withPoolOptions`, `runTransaction`).
 */
export function mayShare(pool: Pool, text: string): boolean {
  return sharesReads(pool) && !acquireOptionsFor(undefined) && isPlainReadOfAnySession(text)
}

/** For adapters: runs a plain read as `pool.query` does, but not through a `connect` that the adapter has overridden. */
export function readOn(pool: Pool, text: string, values?: unknown[]): Promise<QueryResult> {
  if (isInstrumented()) return pool.query(text, values)
  const engine = engineOf(pool)
  const options = acquireOptionsFor(undefined)
  const stack = callerStack(engine.options, readOn)
  return new Promise((resolve) => {
    const done: ResultCallback = (error, result) => resolve(error ? failure(error) : (result as QueryResult))
    engine.acquire(new QueryWaiter(text, values, done, true, engine, options, stack))
  })
}
