import { type Row, rowsIn } from '../commit/answer.ts'
import { violation } from '../driver/guarded-reading.ts'
import type { StatementDone } from '../driver/internals.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import type { Connection } from './connection.ts'

// The empty query: the cheapest thing that the server must answer.
const PING = ';'
const LONGEST_NAME = 40

/**
 * Asks the server, and resolves with its rows; as {@link tell}. An answer with two results, or with none, belongs to another
 * question: then the connection is lost.
 */
export async function ask(
  connection: Connection,
  sql: string,
  clock: Clock,
  timeoutMillis: number,
): Promise<readonly Row[]> {
  const rows = rowsIn(await tell(connection, sql, clock, timeoutMillis))
  if (rows) return rows
  const error = violation(new Error(`The answer to ${nameOf(sql)} is not one result`))
  connection.markLost(error, 'own')
  throw error
}

/**
 * Sends a statement of the pool's own, or several in one text, and rejects with its error. If the server does not answer
 * within `timeoutMillis`, the connection is lost. An SQL error doesn't lose it.
 */
export function tell(connection: Connection, sql: string, clock: Clock, timeoutMillis: number): Promise<unknown> {
  const { statements } = connection
  const statement = statements.begin(sql)
  return new Promise((resolve, reject) => {
    const cancel = afterPatience(clock, timeoutMillis, 'nothing', () => {
      const late = new Error(`No answer to ${nameOf(sql)} within ${timeoutMillis} ms`)
      // A server that answers no ping is dead, and so most likely are all connections to it. A statement may just be slow.
      if (sql === PING) connection.markLost(late, 'all')
      else connection.markLost(late, 'suspect', true)
    })
    const done: StatementDone = (error, result) => {
      cancel()
      if (error && severityOf(error) === undefined) connection.markLost(error)
      statements.end(statement, error ?? undefined)
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

/** Pings the server. Without an answer in time, the connection is lost. */
export async function ping(connection: Connection, clock: Clock, timeoutMillis: number): Promise<void> {
  try {
    await ask(connection, PING, clock, timeoutMillis)
  } catch (error) {
    // An SQL error is a sign of life, too: a cancel request for the last lease may have come late.
    if (!connection.isLost && !(await synchronized(connection, clock, timeoutMillis))) connection.markLost(error)
  }
}

/** Waits until the server has answered everything. False if the connection was lost meanwhile, or it took too long. */
export function synchronized(connection: Connection, clock: Clock, timeoutMillis: number): Promise<boolean> {
  if (connection.inSync) return Promise.resolve(true)
  return new Promise((resolve) => {
    const finish = (): void => {
      cancelPatience()
      cancelCheck()
      stopReady()
      stopEnd()
      connection.cancellation.onOver = undefined
      resolve(connection.inSync && !connection.isLost)
    }
    const check = (): void => {
      if (connection.inSync) finish()
    }
    const cancelPatience = afterPatience(clock, timeoutMillis, 'nothing', finish)
    // A statement that the driver itself refused ends without a message of the server.
    const cancelCheck = clock.afterPendingInput(check)
    const stopReady = connection.session.onReady(check)
    const stopEnd = connection.session.onEnd(finish)
    connection.cancellation.onOver = check
  })
}
