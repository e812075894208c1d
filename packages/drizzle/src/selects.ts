import { isSelect, type Pool } from '@holdfast/core'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'

type Prepare = (query: { readonly sql: string }, ...how: unknown[]) => unknown
/** In Drizzle 0.45 `$count` is a statement of the session's own. */
type Session = { prepareQuery: Prepare; count?: (...statement: unknown[]) => Promise<number> }

/** Has built SELECTs sent again when their connection was lost: a session whose client does so prepares them. */
export function repeatSelects(db: NodePgDatabase, pool: Pool): void {
  const session = db._.session as unknown as Session
  const { prepareQuery, count } = session
  const query = (config: object, values: unknown[]) => pool.query({ ...config, idempotent: true } as never, values)
  const again: Session = Object.assign(Object.create(session), { client: { query }, prepareQuery })
  const prepare: Prepare = (asked, ...how) =>
    prepareQuery.call(isBuiltSelect(asked, how) ? again : session, asked, ...how)
  Object.assign(session, { prepareQuery: prepare }, count && { count: count.bind(again) })
}

/** By what Drizzle's cache is told; a relational query of 0.45 and a `$count` of 1.0 only say how to map their rows. */
function isBuiltSelect({ sql }: { readonly sql: string }, how: readonly unknown[]): boolean {
  const told = how.find((each): each is { type: string } => typeof each === 'object' && each !== null && 'type' in each)
  const isRead = told ? told.type === 'select' : how.some((each) => typeof each === 'function')
  return isRead && isSelect(sql) // Its common table expressions could write.
}
