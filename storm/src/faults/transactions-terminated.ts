import type { Fault } from './fault.ts'

const ROUNDS = 6

/** SCENARIOS B1, B2. */
export const transactionsTerminated: Fault = {
  name: 'transactions-terminated',
  title: 'transactions terminated',
  story: `An administrator ends, ${ROUNDS} times within two seconds, every session that is idle in transaction.`,
  needs: 'connection',
  async strike({ ground, act, wait }) {
    for (let round = 0; round < ROUNDS; round++) {
      await act('kills', async () => {
        let ended = 0
        // In some moments nobody is in a transaction.
        for (let tries = 0; ended === 0 && tries < 20; tries++) ended = await ground.terminate('idle in transaction')
      })
      await wait(250)
    }
  },
}
