import type { Pool, PoolOptions } from '@holdfast/core'
import { type Cluster, until } from '../../support/index.ts'
import { holdfast } from './pools.ts'

export const INSERT = 'insert into entry values ($1)'

/** The events `statement-retried` of a pool: reason and attempt. */
export interface Watched {
  readonly pool: Pool
  readonly retries: string[]
}

export function watched(options: PoolOptions): Watched & AsyncDisposable {
  const retries: string[] = []
  const line = (text: string): void => {
    if (text.includes('Statement runs again')) retries.push(text)
  }
  const logger = { debug: line, info: line, warn: () => {}, error: () => {} }
  const own = holdfast({ ...options, echo: true, logger })
  return { pool: own, retries, [Symbol.asyncDispose]: () => own[Symbol.asyncDispose]() }
}

/** Runs `act` while nobody else can write to the table: a write waits as long as `act` takes. */
export async function whileLocked(cluster: Cluster, act: () => Promise<void>): Promise<void> {
  await cluster.withAdmin(async (admin) => {
    await admin.query('begin; lock table entry in exclusive mode')
    try {
      await act()
    } finally {
      await admin.query('commit')
    }
  })
}

/** Ends the session that waits for a lock, once there is one. */
export async function killWaiting(cluster: Cluster, applicationName: string): Promise<void> {
  let pid: number | undefined
  await until(async () => {
    const sessions = await cluster.sessions({ applicationName, state: 'active' })
    pid = sessions.find(({ waitEvent }) => waitEvent === 'relation')?.pid
    return pid !== undefined
  })
  await cluster.terminateBackends({ pid: pid as number })
  await until(async () => (await cluster.countSessions({ pid: pid as number })) === 0)
}

/** How often it is in the table. */
export const countOf = async (cluster: Cluster, id: string): Promise<number> =>
  (await cluster.query('select from entry where id = $1', [id])).length
