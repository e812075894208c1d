import pg from 'pg'

/** Runs while its parent's event loop is blocked: releases a lock, and waits until a row is committed. */

/** What to do. */
export interface Blockade {
  readonly config: pg.ClientConfig
  /** The session to be ended. */
  readonly lockHolder: number
  /** The row to be waited for. */
  readonly id: string
  /** Ends no earlier than this, counted from its start. */
  readonly atLeastMillis: number
}

const startedAt = performance.now()
const { config, lockHolder, id, atLeastMillis } = JSON.parse(process.argv[2] ?? '') as Blockade
const client = new pg.Client(config)
await client.connect()
await client.query('select pg_terminate_backend($1)', [lockHolder])
for (;;) {
  const { rowCount } = await client.query('select from entry where id = $1', [id])
  if (rowCount === 1 && performance.now() - startedAt > atLeastMillis) break
}
await client.end()
