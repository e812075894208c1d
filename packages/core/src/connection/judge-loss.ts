import type { Loss } from '../errors.ts'
import { judgeLoss, type LossReach, reachOf } from '../policy/loss.ts'

/**
 * What a check says, or the careful answer if it throws: checks are asked in events of the socket, where an exception would
 * end the process, and a loss must be noted whatever its judgement comes to.
 */
export function orDefault<Answer>(check: () => Answer, careful: Answer): Answer {
  try {
    return check()
  } catch {
    return careful
  }
}

/** What a loss is; what can't be judged may have been a COMMIT. */
export function lossOrWorst(...[use, cause, takesNoWrites]: Parameters<typeof judgeLoss>): Loss {
  return orDefault(() => judgeLoss(use, cause, takesNoWrites), { cause, phase: 'commit', commitOutcome: 'unknown' })
}

/** How far its news reaches; what can't be judged concerns all. */
export function reachOrAll(cause: unknown): LossReach {
  return orDefault(() => reachOf(cause), 'all')
}
