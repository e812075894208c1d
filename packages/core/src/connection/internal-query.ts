import type { ResetInfo, ResetPolicy } from '../options/pool-options.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS, type ResetPlan, resetPlan } from '../policy/reset.ts'
import { afterPatience, type Clock, withinPatience } from '../runtime/clock.ts'
import type { Connection } from './connection.ts'
import { ask, PING, runInternal } from './question.ts'

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

/** The result of a reset: the statements it took (none: an empty text), or why the session must not be leased again. */
export type ResetOutcome = { readonly by: string } | { readonly failure: unknown }

/** What a reset needs besides the connection. */
export interface ResetTools {
  readonly clock: Clock
  /** Runs the user's `onConnect` again, since a reset undoes what it has set. */
  readonly replayHook: () => Promise<void>
}

/**
 * Resets a released connection for its next lease: waits until the server has answered all statements of the last one, then
 * resets the session by the policy. Each step has a time limit.
 */
export async function reset(connection: Connection, policy: ResetPolicy, tools: ResetTools): Promise<ResetOutcome> {
  const { clock } = tools
  try {
    if (!(await synchronized(connection, clock, INTERNAL_QUERY_TIMEOUT_MILLIS)))
      return { failure: new Error(`Statements of the last lease still ran after ${INTERNAL_QUERY_TIMEOUT_MILLIS} ms`) }
    const plan = resetPlan(policy, connection.transactionStatus, connection.lease.hasWorked)
    if (plan === 'keep') return { by: '' }
    if (plan === 'retire')
      return { failure: new Error("Released with an open transaction, under resetOnReturn: 'none'") }
    const by = await execute(connection, plan, tools)
    // The user's function may have left a transaction open.
    if (connection.transactionStatus !== 'I')
      await runInternal(connection, 'ROLLBACK', clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
    return { by }
  } catch (failure) {
    return { failure }
  }
}

async function execute(connection: Connection, plan: ResetPlan, { clock, replayHook }: ResetTools): Promise<string> {
  const { call } = plan
  for (const statement of plan.statements)
    await runInternal(connection, statement, clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
  if (plan.dropsStatements) connection.preparedStatements.forgetAll()
  if (plan.undoesHook)
    await bounded(connection, clock, 'onConnect, replayed after the reset', () => connection.runUserHook(replayHook))
  if (!call) return plan.statements.join('; ')
  const info: ResetInfo = { transactionStatus: connection.transactionStatus ?? 'I', uses: connection.uses }
  const run = async (): Promise<void> => call(connection.client, info)
  await bounded(connection, clock, 'resetOnReturn', () => connection.runUserHook(run))
  return 'resetOnReturn'
}

/** A function of the user's has as much time as a statement. */
async function bounded(connection: Connection, clock: Clock, what: string, run: () => Promise<void>): Promise<void> {
  await withinPatience(
    clock,
    INTERNAL_QUERY_TIMEOUT_MILLIS,
    run(),
    () => new Error(`${what}: not done after ${INTERNAL_QUERY_TIMEOUT_MILLIS} ms`),
  )
  if (!(await synchronized(connection, clock, INTERNAL_QUERY_TIMEOUT_MILLIS)))
    throw new Error(`${what}: its statements did not end`)
}
