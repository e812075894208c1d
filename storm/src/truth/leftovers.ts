import { until } from '@holdfast/test/support'
import type { Ground, ServerSession } from '../ground/ground.ts'
import { SETTINGS } from '../settings.ts'

const SETTLE_MILLIS = 400

/** The watch of Holdfast keeps one session beside `max` for a minute after it was last used. */
const SESSIONS_OF_THE_WATCH = 1

/**
 * Sessions that should not exist while no caller runs: busy, in a transaction, or more than the pool may have. Sessions that are
 * just ending get a moment.
 */
export async function leftoverSessions(ground: Ground): Promise<readonly ServerSession[]> {
  let leftover: readonly ServerSession[] = []
  const deadline = performance.now() + SETTLE_MILLIS
  await until(async () => {
    const sessions = await ground.sessions()
    const busy = sessions.filter(({ state }) => state !== 'idle')
    const surplus = sessions.filter(({ state }) => state === 'idle').slice(SETTINGS.poolMax + SESSIONS_OF_THE_WATCH)
    leftover = [...busy, ...surplus]
    return leftover.length === 0 || performance.now() > deadline
  })
  return leftover
}
