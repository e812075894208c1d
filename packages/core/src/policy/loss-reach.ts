import { concernsOthers } from './classify-error.ts'
import { poolerMeaning } from './pooler-words.ts'

/**
 * How far the news of a loss reaches: every older connection is dead, is suspect, or isn't concerned; or what stands between
 * has no server for anybody, whoever else is connected to it.
 */
export type LossReach = 'all' | 'suspect' | 'own' | 'server-away'

/** How far the news reaches that a connection was lost by this cause. */
export function reachOf(cause: unknown): LossReach {
  if (poolerMeaning(cause) === 'refused') return 'server-away'
  return concernsOthers(cause) ? 'all' : 'own'
}
