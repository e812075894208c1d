import type { Connection } from '../connection/connection.ts'
import { ask } from '../connection/question.ts'
import { OptionsError } from '../errors.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { PoolerKind } from '../policy/pooler.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'

const REMEDY = 'Listen with a pool that leads straight to the server'

/**
 * Why nothing might be received; undefined if it would. Where each transaction has another session of the server, LISTEN succeeds, and
 * nothing ever arrives.
 */
export function problemBehindPooler(kind: PoolerKind): OptionsError | undefined {
  if (kind === 'transaction')
    return new OptionsError([
      `\`pool.listen\` can't work here: the pooler gives each transaction another session of the server, and LISTEN receives nothing there. ${REMEDY}.`,
    ])
  if (kind === 'some')
    return new OptionsError([
      `\`pool.listen\` may receive nothing: there is a pooler in front of the server. Set \`pooler: 'session'\` if it gives each connection a session of the server. ${REMEDY} otherwise.`,
    ])
  return undefined
}

/** Shows a pooler, unless it is known already: the process that serves a session isn't the one that its login has named. */
export async function askWhoServes(connection: Connection, clock: Clock): Promise<void> {
  const { session } = connection
  if (session.isDirect !== undefined) return
  try {
    const [row] = await ask(
      connection,
      'select pg_catalog.pg_backend_pid() as pid',
      clock,
      INTERNAL_QUERY_TIMEOUT_MILLIS,
    )
    session.servedBy(row?.pid)
  } catch (error) {
    if (severityOf(error) === undefined) throw error // Else it is a server that can't tell.
  }
}
