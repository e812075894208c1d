import { causesOf } from '../../adapters/support/causes.ts'
import { settles } from '../../faults/support/settling.ts'
import type { Cluster } from '../../support/index.ts'

/**
 * The answer that an application got about its transaction: written, not written, or unknown. `failed` is an
 * error that says nothing about it, so its reader believes that nothing was written.
 */
export type Told = 'written' | 'not written' | 'unknown' | 'failed'

/** The answer, and the error that gave it. */
export interface Answer {
  readonly told: Told
  readonly error?: unknown
  /** Why it is unknown. */
  readonly reason?: string
}

const PROMISES: Readonly<Record<string, Told>> = { aborted: 'not written', unknown: 'unknown' }

/** The outcome of a transaction, as its caller was told. */
export async function answerOf(transaction: Promise<unknown>): Promise<Answer> {
  try {
    await settles(transaction, 'the transaction')
    return { told: 'written' }
  } catch (error) {
    const loss = causesOf(error).find(({ commitOutcome }) => typeof commitOutcome === 'string')
    if (!loss) return { told: 'failed', error }
    const told = PROMISES[loss.commitOutcome as string] ?? 'failed'
    return { told, error, ...(typeof loss.reason === 'string' && { reason: loss.reason }) }
  }
}

/** How often it is there, as another session sees it. */
export async function timesWritten(cluster: Cluster, id: string): Promise<number> {
  return (await cluster.query('select from entry where id = $1', [id])).length
}

/** Whether the answer was true. `unknown` is never wrong, but must have a reason. */
export function isTrue({ told }: Answer, times: number): boolean {
  if (told === 'unknown') return times <= 1
  return times === (told === 'written' ? 1 : 0)
}
