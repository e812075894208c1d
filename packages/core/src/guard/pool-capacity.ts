import type { Connector } from '../connect/connector.ts'
import type { Connection } from '../connection/connection.ts'
import { ask } from '../connection/question.ts'
import type { BudgetValues } from '../options/read-values.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Publisher } from '../telemetry/events.ts'
import type { Budget } from './budget.ts'
import { type Ask, availableConnections, isNearlyFull, knownWorkers } from './capacity.ts'
import { type LimitedEngine, shareBudget } from './shared-budget.ts'

/** What asking for the capacity takes. */
export interface CapacityNeeds {
  readonly options: { readonly max: number; readonly min: number; readonly budget: BudgetValues | undefined }
  readonly clock: Clock
  readonly publisher: Publisher
  readonly connector: () => Pick<Connector, 'openAside' | 'pooler'>
  readonly engine: () => LimitedEngine
}

/** How many connections the server grants, as the engine asks it. */
export interface PoolCapacity {
  check(connection: Connection): Promise<void>
  isNearlyFull(connection: Connection): Promise<boolean>
  readonly budget: Budget | undefined
}

/** What a pool asks its server of how many connections it may have. */
export function capacityOf(needs: CapacityNeeds): PoolCapacity {
  const { options, clock, publisher, connector } = needs
  const { max, budget } = options
  const askOver =
    (connection: Connection): Ask =>
    (sql) =>
      ask(connection, sql, clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
  return {
    budget: budget && shareBudget({ ...needs, values: budget }),
    /** Warns once if the pools of this service can want more connections than the server grants. */
    async check(connection) {
      // A pooler has limits of its own, and is there to take more clients than the server does.
      if (connector().pooler.isThere) return
      // A server that isn't PostgreSQL, or that refuses the question, gives no answer.
      const available = await availableConnections(askOver(connection)).catch(() => undefined)
      const workers = knownWorkers()
      const most = Math.min(max * workers, budget?.total ?? Number.POSITIVE_INFINITY)
      if (available !== undefined && most > available)
        publisher.publish({ type: 'capacity-exceeded', max, workers, available })
    },
    // Behind a pooler, its own limits count, which can't be asked for.
    isNearlyFull: async (connection) =>
      connection.session.isDirect !== false && (await isNearlyFull(askOver(connection)).catch(() => false)),
  }
}
