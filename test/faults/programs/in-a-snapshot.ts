import { startupSnapshot } from 'node:v8'
import { Pool, type PoolOptions } from '@holdfast/core'

/** Makes a pool while Node builds a start-up snapshot; uses it in each process that starts from that. */

/** With what to begin, in the environment variable TASK. */
export interface Snapshot {
  readonly options: PoolOptions
  /** Whether the pool has worked before the snapshot was taken, and let go. */
  readonly hasWorked: boolean
}

/** What a process that starts from the snapshot writes to its standard output. */
export interface Awakening {
  readonly pid: number
  /** The process that the pool believes to be in. */
  readonly poolPid: number
  readonly backendPid: number
}

const { options, hasWorked } = JSON.parse(process.env.TASK ?? '') as Snapshot
const pool = new Pool({ ...options, idleTimeoutMillis: 100 })
if (hasWorked) void pool.query('select 1').then(() => pool.dispose())

startupSnapshot.setDeserializeMainFunction(async () => {
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  // By idleTimeoutMillis: maintenance runs in this process, too. Not if any timer was set before the snapshot: Node 24 then
  // starts no later one (its `nextExpiry` is still that of the other process).
  if (!hasWorked) await new Promise((resolve) => pool.once('remove', resolve))
  const { pid: poolPid } = pool.status()
  const awakening: Awakening = { pid: process.pid, poolPid, backendPid: rows[0]?.pid as number }
  await pool.end()
  console.log(JSON.stringify(awakening))
})
