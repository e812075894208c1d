import type { ResetInfo, ResetPolicy } from '../options/pool-options.ts'
import { RESET_TIMEOUT_MILLIS, type ResetPlan, resetPlan } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import { withinPatience } from '../runtime/deadline.ts'
import type { Connection } from './connection.ts'
import { synchronized, tell } from './internal-query.ts'

/** What became of a reset: done, by these means (if any were needed), or why the session isn't fit for anybody. */
export type ResetOutcome = { readonly by: string } | { readonly flaw: unknown }

/** What a reset needs besides the connection. */
export interface ResetTools {
  readonly clock: Clock
  /** Does again what a reset has undone: the user's `onConnect`. */
  readonly replayHook: () => Promise<void>
}

/**
 * Makes a released connection fit for its next lease: waits until the server has answered all statements of the last
 * one, then resets the session as the policy says. Every step is bounded.
 */
export async function reset(connection: Connection, policy: ResetPolicy, tools: ResetTools): Promise<ResetOutcome> {
  const { clock } = tools
  try {
    if (!(await synchronized(connection, clock, RESET_TIMEOUT_MILLIS)))
      return { flaw: new Error(`Statements of the last lease still ran after ${RESET_TIMEOUT_MILLIS} ms`) }
    const plan = resetPlan(policy, connection.transactionStatus, connection.lease.hasWorked)
    if (plan === 'keep') return { by: '' }
    if (plan === 'retire') return { flaw: new Error("Released with an open transaction, under resetOnReturn: 'none'") }
    const by = await carryOut(connection, plan, tools)
    // The user's function may have left one open, or not have cared.
    if (connection.transactionStatus !== 'I') await tell(connection, 'ROLLBACK', clock, RESET_TIMEOUT_MILLIS)
    return { by }
  } catch (flaw) {
    return { flaw }
  }
}

async function carryOut(connection: Connection, plan: ResetPlan, { clock, replayHook }: ResetTools): Promise<string> {
  const { call } = plan
  for (const statement of plan.statements) await tell(connection, statement, clock, RESET_TIMEOUT_MILLIS)
  if (plan.dropsStatements) connection.preparedStatements.forgetAll()
  if (plan.undoesHook)
    await bounded(connection, clock, 'onConnect, replayed after the reset', () => connection.serve(replayHook))
  if (!call) return plan.statements.join('; ')
  const info: ResetInfo = { transactionStatus: connection.transactionStatus ?? 'I', uses: connection.uses }
  await bounded(connection, clock, 'resetOnReturn', () => connection.serve(async () => call(connection.client, info)))
  return 'resetOnReturn'
}

/** Code of the user's gets as long as a statement would. */
async function bounded(connection: Connection, clock: Clock, what: string, run: () => Promise<void>): Promise<void> {
  await withinPatience(
    clock,
    RESET_TIMEOUT_MILLIS,
    run(),
    () => new Error(`${what}: not done after ${RESET_TIMEOUT_MILLIS} ms`),
  )
  if (!(await synchronized(connection, clock, RESET_TIMEOUT_MILLIS)))
    throw new Error(`${what}: its statements did not end`)
}
