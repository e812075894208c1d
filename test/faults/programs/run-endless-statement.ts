import { Pool, type PoolOptions } from '@holdfast/core'

/** Runs a statement that never ends. */

const pool = new Pool(JSON.parse(process.argv[2] ?? '') as PoolOptions)
await pool.query("select pg_sleep('infinity')")
