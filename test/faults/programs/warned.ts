import cluster from 'node:cluster'
import { Pool, type PoolOptions } from '@holdfast/core'

/** A service with a pool in each of its processes. Reports every warning, and the worker that got it. */

/** With what to begin. */
export interface Service {
  readonly options: PoolOptions
  /** How many workers of `node:cluster`; 0 uses the pool itself. */
  readonly workers: number
}

/** A warning. */
export interface Warned {
  /** Undefined in a process that isn't a worker. */
  readonly worker: number | undefined
  readonly code: unknown
  readonly message: string
}

const { options, workers } = JSON.parse(process.argv[2] ?? '') as Service

if (cluster.isPrimary && workers > 0) {
  cluster.on('message', (_worker, message: Warned) => process.send?.(message))
  for (let worker = 1; worker <= workers; worker++) cluster.fork()
} else {
  process.on('warning', (warning) => {
    const { code, message } = warning as Error & { code?: unknown }
    process.send?.({ worker: cluster.worker?.id, code, message } satisfies Warned)
  })
  const pool = new Pool({ ...options, idleTimeoutMillis: 0 })
  await pool.query('select 1')
}
