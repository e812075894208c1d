import { Pool, type PoolOptions } from '@holdfast/core'

/** A program that runs one statement, and has nothing else to do. Reports the rows. */

const pool = new Pool(JSON.parse(process.argv[2] ?? '') as PoolOptions)
const { rows } = await pool.query('select 1 as it')
process.send?.(rows)
process.disconnect?.()
await pool.end()
