import { type Row, rowsIn } from '../commit/server-report.ts'
import { violation } from '../driver/guarded-reading.ts'
import type { StatementDone } from '../driver/internals.ts'
import type { Pipeline } from '../driver/pipeline.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { LossReach } from '../policy/reach.ts'
import { afterPatience, type Clock } from '../runtime/clock.ts'
import { orDefault } from './loss-record.ts'
import type { Statements } from './statements.ts'

// The empty query: the cheapest thing that the server must answer.
export const PING = ';'
const LONGEST_NAME = 40

/** The connection, as a statement of the pool's own sees it. */
export interface AskedConnection {
  readonly statements: Statements
  readonly pipeline: Pipeline
  markLost(cause: unknown, reach?: LossReach, mayLive?: boolean): void
}

/**
 * Asks the server, and resolves with its rows; as {@link runInternal}. An answer with two results, or none, belongs to another
 * question: then the connection is lost.
 */
export async function ask(
  connection: AskedConnection,
  sql: string,
  clock: Clock,
  timeoutMillis: number,
): Promise<readonly Row[]> {
  const rows = rowsIn(await runInternal(connection, sql, clock, timeoutMillis))
  if (rows) return rows
  const error = violation(new Error(`The answer to ${nameOf(sql)} is not one result`))
  connection.markLost(error, 'own')
  throw error
}

/**
 * Sends a statement of the pool's own, or several in one text, and rejects with its error. If the server does not answer
 * within `timeoutMillis`, the connection is lost. An SQL error doesn't lose it.
 */
export function runInternal(
  connection: AskedConnection,
  sql: string,
  clock: Clock,
  timeoutMillis: number,
): Promise<unknown> {
  const { statements } = connection
  const statement = statements.begin(sql)
  return new Promise((resolve, reject) => {
    const cancel = afterPatience(clock, timeoutMillis, 'nothing', () => {
      const late = new Error(`No answer to ${nameOf(sql)} within ${timeoutMillis} ms`)
      // A server that answers no ping is dead, and so most likely are all connections to it. A statement may just be slow.
      if (sql === PING) connection.markLost(late, 'silent')
      else connection.markLost(late, 'suspect', true)
    })
    const done: StatementDone = (error, result) => {
      cancel()
      const judge = (): true => {
        if (error && severityOf(error) === undefined) connection.markLost(error)
        statements.end(statement, error ?? undefined)
        return true
      }
      // What can't be judged leaves the session in doubt.
      if (!orDefault(judge, false)) connection.markLost(error ?? new Error(`The answer to ${nameOf(sql)} is unclear`))
      if (error) reject(error)
      else resolve(result)
    }
    connection.pipeline.send(sql, done)
  })
}

function nameOf(sql: string): string {
  if (sql === PING) return 'a ping'
  return sql.length > LONGEST_NAME ? `${sql.slice(0, LONGEST_NAME)}…` : sql
}
