import type { Row } from '../commit/server-report.ts'
import { BudgetError, budgetUsedUp, ConnectError, type Endpoint } from '../errors.ts'
import type { BudgetValues } from '../options/read-values.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import { BudgetRegistry } from './budget-registry.ts'
import type { BudgetSlots } from './budget-slots.ts'

/** The session in which a pool asks. */
export interface BudgetSession {
  readonly backendPid: number | null
  readonly endpoint: Endpoint
  ask(sql: string, timeoutMillis: number): Promise<readonly Row[]>
  close(timeoutMillis: number): Promise<void>
  destroy(): void
}

/** A pool needs two slots at least: for the session in which it asks, and for a connection. */
const LEAST_SLOTS = 2

/**
 * Registers a pool in this session, which gets a slot of its own. After a former session (`formerPid`) was lost, takes over the slots
 * that the connections of the pool still hold.
 *
 * @throws {BudgetError} if the server can't be the registry.
 * @throws {ConnectError} if the budget is used up.
 */
export async function joinBudget(
  session: BudgetSession,
  values: BudgetValues,
  slots: BudgetSlots,
  formerPid: number,
): Promise<BudgetRegistry> {
  const { name, total, reserve } = values
  const { backendPid, endpoint } = session
  const registry = new BudgetRegistry((sql) => session.ask(sql, INTERNAL_QUERY_TIMEOUT_MILLIS), values)
  if (backendPid === null || !(await registry.register(backendPid)))
    throw new BudgetError(name, 'the pool is behind a connection pooler, where no session keeps its locks')
  const adopted = await registry.adopt(slots.held, formerPid)
  const { others, isMember } = await registry.look(false)
  if (!isMember) throw new BudgetError(name, 'the server shows no locks of sessions')
  slots.keep(adopted)
  const isRoom = others.length + reserve + LEAST_SLOTS <= total
  if (isRoom && (await registry.takeOwn())) return registry
  // The pool has a slot too few: that of a connection is used, which is closed as soon as it is free.
  const [given] = slots.giveUp(adopted)
  if (given !== undefined && registry.useAsOwn(given)) return registry
  const sharers = `${others.length} other ${others.length === 1 ? 'pool shares' : 'pools share'} it`
  throw new ConnectError(
    endpoint,
    budgetUsedUp(`all ${total} connections of the budget '${name}' are in use; ${sharers}`),
  )
}
