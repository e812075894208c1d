import { type Row, rowsIn } from '../commit/answer.ts'
import { violation } from '../driver/guarded-reading.ts'
import { internalsOf, type StatementDone, sendStatement } from '../driver/internals.ts'
import { keepListening } from '../driver/kept-listeners.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'
import type { Connection } from './connection.ts'

// The empty query: the cheapest thing that the server must answer.
const PING = ';'
const LONGEST_HEAD = 40

/**
 * Asks the server, and resolves with its rows; as {@link tell}. Whoever is answered with two results, or with none, is told
 * what somebody else has asked for: then the connection is lost.
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
 * Sends a statement of the pool, or several, and rejects with its error. A server that does not answer within
 * `timeoutMillis` has lost the connection; an SQL error has not.
 */
export function tell(connection: Connection, sql: string, clock: Clock, timeoutMillis: number): Promise<unknown> {
  const statement = connection.begin(sql)
  return new Promise((resolve, reject) => {
    const cancel = afterPatience(clock, timeoutMillis, 'nothing', () => {
      // A statement may be slow, or wait for a lock; who doesn't answer a ping is dead, and the others most likely, too.
      const late = new Error(`No answer to ${nameOf(sql)} within ${timeoutMillis} ms`)
      if (sql === PING) connection.markLost(late, 'all')
      else connection.markLost(late, 'suspect', true)
    })
    const done: StatementDone = (error, result) => {
      cancel()
      if (error && severityOf(error) === undefined) connection.markLost(error)
      connection.end(statement, error ?? undefined)
      if (error) reject(error)
      else resolve(result)
    }
    sendStatement(connection.client, sql, done)
  })
}

function nameOf(sql: string): string {
  if (sql === PING) return 'a ping'
  return sql.length > LONGEST_HEAD ? `${sql.slice(0, LONGEST_HEAD)}…` : sql
}

/** Asks for a sign of life. Without one in time, the connection is lost. */
export async function ping(connection: Connection, clock: Clock, timeoutMillis: number): Promise<void> {
  try {
    await ask(connection, PING, clock, timeoutMillis)
  } catch (error) {
    // An SQL error is a sign of life too: a cancel request meant for the last lease may have come late.
    if (!connection.isLost && !(await synchronized(connection, clock, timeoutMillis))) connection.markLost(error)
  }
}

/** Waits until the server has answered everything. False if the connection was lost meanwhile, or it took too long. */
export function synchronized(connection: Connection, clock: Clock, timeoutMillis: number): Promise<boolean> {
  if (connection.inSync) return Promise.resolve(true)
  const protocol = internalsOf(connection.client).connection
  return new Promise((resolve) => {
    const settle = (): void => {
      cancelPatience()
      cancelLook()
      forgetReady()
      forgetEnd()
      connection.cancellation.onOver = undefined
      resolve(connection.inSync && !connection.isLost)
    }
    const look = (): void => {
      if (connection.inSync) settle()
    }
    const cancelPatience = afterPatience(clock, timeoutMillis, 'nothing', settle)
    // A statement that the driver itself refused is over without a word of the server.
    const cancelLook = clock.afterPendingInput(look)
    const forgetReady = keepListening(protocol, 'readyForQuery', look)
    const forgetEnd = keepListening(protocol, 'end', settle)
    connection.cancellation.onOver = look
  })
}
