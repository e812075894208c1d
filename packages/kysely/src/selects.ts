import { isDisconnect, type Pool } from '@holdfast/core'
import { type DatabaseConnection, type OperationNode, SelectQueryNode } from 'kysely'

/** Has built SELECTs that run by themselves sent again when this connection was lost. `leases` has what it was leased with. */
export function repeatSelects(connection: DatabaseConnection, pool: Pool, leases: WeakMap<object, unknown>): void {
  const executeQuery: typeof connection.executeQuery = connection.executeQuery.bind(connection)
  connection.executeQuery = <Row>(...[query, options]: Parameters<typeof executeQuery>) => {
    // A transaction begins with another statement, and `db.connection()` asks with options that no statement has.
    const isByItself = leases.get(connection) === options
    leases.set(connection, 'used')
    return executeQuery<Row>(query, options).catch((error) => {
      if (!isByItself || !isSelect(query.query) || !isDisconnect(error)) throw error
      return pool.query<Row & {}>({ text: query.sql, values: [...query.parameters], idempotent: true, ...options })
    })
  }
}

/** Down to its common table expressions: these could write. */
function isSelect(node: OperationNode): boolean {
  return SelectQueryNode.is(node) && (node.with?.expressions ?? []).every(({ expression }) => isSelect(expression))
}
