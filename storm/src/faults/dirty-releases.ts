import type { Fault } from './fault.ts'

const DIRTY_MILLIS = 3000

/** SCENARIOS D1: the one fault that is made by the application itself. */
export const dirtyReleases: Fault = {
  name: 'dirty-releases',
  title: 'dirty releases',
  story: `For ${DIRTY_MILLIS / 1000} s some callers forget their COMMIT and release the connection with an open transaction.`,
  needs: 'connection',
  async strike({ victim, act, wait }) {
    await act('spares', () => victim.dirty(true))
    await wait(DIRTY_MILLIS)
    await victim.dirty(false)
  },
}
