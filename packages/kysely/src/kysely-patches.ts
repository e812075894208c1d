import { isDisconnect, type Pool, TransactionRolledBackError } from '@holdfast/core'
import { type DatabaseConnection, type OperationNode, SelectQueryNode } from 'kysely'

/*
 * Everything that is changed in Kysely beyond its documented classes is in this file, or named here. It was written for
 * kysely >=0.29 <0.30, and read in 0.29.9.
 *
 * 1. Kysely marks the error of a COMMIT that was answered with ROLLBACK by a symbol of its own. By it a controlled
 *    transaction knows that nothing is left to roll back, and releases its connection. Every COMMIT that the server
 *    refuses gets this mark (`markAsRolledBack`).
 *    If Kysely changes this, 'rejects with the same error, and releases its connection, with HoldfastDialect' in
 *    test/adapters/kysely/controlled-transactions.test.ts fails.
 * 2. Kysely's drivers can't run a query again on another connection. So `executeQuery` of a connection is replaced, if
 *    `idempotentSelects` is set (`sendSelectsAgain`).
 *    If Kysely changes this, test/adapters/kysely/idempotent-selects.test.ts fails.
 * 3. `PostgresDriver.acquireConnection` calls `pool.connect()` before it returns its promise. `HoldfastDriver` relies on
 *    that: it leases a client, and has Kysely's own driver put its connection around this client.
 *    If Kysely changes this, test/adapters/kysely/relied-on.test.ts fails.
 */

const ABORTED_TRANSACTION_ERROR = Symbol.for('kysely.AbortedTransactionError')

/** Marks the error of a COMMIT that the server refused. Returns the same error. */
export function markAsRolledBack(error: unknown): unknown {
  // The server answered, with a constraint or a conflict that it found at the end. A lost answer proves nothing.
  const isAnswered = error instanceof TransactionRolledBackError || (error instanceof Error && 'severity' in error)
  return isAnswered ? Object.defineProperty(error, ABORTED_TRANSACTION_ERROR, { value: true }) : error
}

/** Of each connection: the options that it was leased with, until its first statement; then `USED`. */
export type LeaseOptions = WeakMap<DatabaseConnection, unknown>
const USED = Symbol('used')

/** Sends SELECTs of the query builder again when this connection is lost, if they run outside of a transaction. */
export function sendSelectsAgain(connection: DatabaseConnection, pool: Pool, leaseOptions: LeaseOptions): void {
  const executeQuery: typeof connection.executeQuery = connection.executeQuery.bind(connection)
  connection.executeQuery = <Row>(...[query, options]: Parameters<typeof executeQuery>) => {
    // Kysely leases for a single query with the query's own options. A transaction begins with another statement, and
    // `db.connection()` leases with options that no query has.
    const isSingle = leaseOptions.get(connection) === options
    leaseOptions.set(connection, USED)
    return executeQuery<Row>(query, options).catch((error) => {
      if (!isSingle || !onlyReads(query.query) || !isDisconnect(error)) throw error
      return pool.query<Row & {}>({ text: query.sql, values: [...query.parameters], idempotent: true, ...options })
    })
  }
}

/** Whether it is a SELECT, and all its common table expressions are, since an INSERT may stand there. */
function onlyReads(node: OperationNode): boolean {
  return SelectQueryNode.is(node) && (node.with?.expressions ?? []).every(({ expression }) => onlyReads(expression))
}
