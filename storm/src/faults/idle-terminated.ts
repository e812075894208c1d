import { until } from '@holdfast/test/support'
import type { Fault } from './fault.ts'

/** SCENARIOS A1. */
export const idleTerminated: Fault = {
  name: 'idle-terminated',
  title: 'idle sessions terminated',
  story: 'An administrator ends every session while the service is idle; then its callers start again.',
  needs: 'connection',
  async strike({ ground, victim, act, wait }) {
    await victim.pause()
    await wait(300)
    await act('kills', async () => {
      const before = new Set((await ground.sessions()).map(({ pid }) => pid))
      await ground.terminate()
      await until(async () => (await ground.sessions()).every(({ pid }) => !before.has(pid)))
    })
    await wait(700)
    await victim.resume()
  },
}
