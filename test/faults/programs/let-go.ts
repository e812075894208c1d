import { Pool, type PoolOptions } from '@holdfast/core'

/** Opens connections, lets go of them, and has nothing else to do. */

/** With what to begin. */
export interface LettingGo {
  readonly options: PoolOptions
  readonly close: boolean
}

const { options, close } = JSON.parse(process.argv[2] ?? '') as LettingGo
const pool = new Pool({ ...options, idleTimeoutMillis: 0 })
const clients = await Promise.all([pool.connect(), pool.connect()])
for (const client of clients) client.release()
await pool.dispose({ close })
process.send?.({ size: pool.status().size })
