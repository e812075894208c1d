import { Pool } from '@holdfast/core'
import pg from 'pg'

/**
 * A script as in node-postgres' documentation, with either pool, made of nothing but environment variables or of the
 * options given. Prints the arguments of the callback of its statement, and what was uncaught.
 */
const { library, options, ends, throwsInCallback } = JSON.parse(process.argv[2] ?? '') as Script

/** What to do. */
export interface Script {
  readonly library: 'pg.Pool' | 'Holdfast'
  /** Nothing at all if absent. */
  readonly options?: pg.PoolConfig
  /** Whether the pool is ended. */
  readonly ends: boolean
  readonly throwsInCallback?: boolean
}

const PoolClass = library === 'pg.Pool' ? pg.Pool : Pool
const pool = options ? new PoolClass(options as object) : new PoolClass()

process.on('uncaughtException', (error) => {
  console.log(`uncaught: ${error.message}`)
})

pool.query('select current_user as who, current_database() as where', (error, result) => {
  console.log(error ? error.message : JSON.stringify(result.rows))
  if (throwsInCallback) {
    pool.query('select 1', (failure) => {
      console.log(failure ? failure.message : 'goes on')
      if (ends) void pool.end()
    })
    throw new Error('of the callback')
  }
  if (ends) void pool.end()
})
