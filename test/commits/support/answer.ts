import { causesOf } from '../../adapters/support/causes.ts'
import { settles } from '../../faults/support/settling.ts'
import type { Cluster } from '../../support/index.ts'

/**
 * What an application was told of its transaction: that it is written; that it isn't; that nobody knows. `failed` is an
 * error that says nothing of it, and whoever reads that believes that nothing was written.
 */
export type Told = 'written' | 'not written' | 'unknown' | 'failed'

/** That, and the error that told it. */
export interface Answer {
  readonly told: Told
  readonly error?: unknown
  /** Why nobody knows. */
  readonly reason?: string
}

const PROMISES: Readonly<Record<string, Told>> = { aborted: 'not written', unknown: 'unknown' }

/** What became of a transaction, by the word of whoever ran it. */
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

/** Whether the application was told the truth. That nobody knows is never wrong; whoever says so must give a reason. */
export function isTrue({ told }: Answer, times: number): boolean {
  if (told === 'unknown') return times <= 1
  return times === (told === 'written' ? 1 : 0)
}
