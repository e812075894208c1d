import type { Fault } from './fault.ts'

const FROZEN_MILLIS = 2500

/** SCENARIOS A3. */
export const processFreeze: Fault = {
  name: 'process-freeze',
  title: 'process freeze',
  story: `The service is frozen for ${FROZEN_MILLIS / 1000} s (SIGSTOP, as in a frozen Lambda); meanwhile the server ends its sessions.`,
  needs: 'connection',
  async strike({ ground, victim, act, wait }) {
    await act('kills', async () => {
      victim.freeze()
      await ground.terminate()
    })
    try {
      await wait(FROZEN_MILLIS)
    } finally {
      victim.thaw()
    }
  },
}
