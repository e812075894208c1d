import type { Connector } from '../connect/connector.ts'
import { ask } from '../connection/question.ts'
import type { BudgetValues } from '../options/read-values.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Publisher } from '../telemetry/events.ts'
import { Budget, type BudgetDemand } from './budget.ts'
import type { BudgetSession } from './budget-membership.ts'

/** A connection that was unused for so long isn't needed for what the pool does just now. */
const UNUSED_MILLIS = 500

/** The engine, as a budget sees it. */
export interface LimitedEngine {
  readonly inventory: {
    readonly size: number
    readonly idleCount: number
    idle(): readonly { readonly idleSince: number }[]
  }
  readonly waitingCount: number
  readonly usability: { limitTo(most: number): void }
}

/** What the budget of a pool needs of the other parts, which need it themselves. */
export interface SharedBudgetNeeds {
  readonly values: BudgetValues
  readonly options: { readonly max: number; readonly min: number }
  readonly clock: Clock
  readonly publisher: Publisher
  readonly connector: () => Pick<Connector, 'openAside'>
  readonly engine: () => LimitedEngine
}

/** Puts the budget of a pool together. */
export function shareBudget({ values, options, clock, publisher, connector, engine }: SharedBudgetNeeds): Budget {
  const demand = (now: number): BudgetDemand => {
    const { inventory, waitingCount } = engine()
    const unused = inventory.idle().filter(({ idleSince }) => now - idleSince >= UNUSED_MILLIS).length
    return {
      unused: Math.max(0, Math.min(unused, inventory.idleCount - options.min)),
      wanted: Math.max(0, Math.min(waitingCount, options.max - inventory.size)),
    }
  }
  const openSession = async (): Promise<BudgetSession> => {
    const connection = await connector().openAside()
    const { backendPid, endpoint } = connection
    return {
      backendPid,
      endpoint,
      ask: (sql, timeoutMillis) => ask(connection, sql, clock, timeoutMillis),
      close: (timeoutMillis) => connection.close(timeoutMillis, undefined),
      destroy: () => connection.destroy(),
    }
  }
  const budget = new Budget({
    values,
    clock,
    openSession,
    demand,
    limitTo: (most) => engine().usability.limitTo(most),
    askOver: (connection, sql) => ask(connection, sql, clock, INTERNAL_QUERY_TIMEOUT_MILLIS),
    onUnanswered: (error, openCount) =>
      publisher.publish({ type: 'budget-unanswered', budget: values.name, error, openCount }),
  })
  publisher.subscribe(
    () => budget.abandon(),
    (type) => type === 'process-changed',
  )
  return budget
}
