import type { Fault } from './fault.ts'

const VICTIMS = 6
/** Until the caller that was hit has recovered: at a faster pace it would always be hit again. */
const PAUSE_MILLIS = 700
const MOST_TRIES = 50

/** SCENARIOS B1, B2. */
export const transactionsTerminated: Fault = {
  name: 'transactions-terminated',
  title: 'transactions terminated',
  story: `An administrator ends ${VICTIMS} sessions that are idle in transaction, one after the other.`,
  needs: 'connection',
  async strike({ ground, act, wait }) {
    for (let victim = 0; victim < VICTIMS; victim++) {
      await act('kills', async () => {
        // At some moments no caller is in a transaction. The number must be the same for every stack to be a fair comparison.
        for (let tries = 0; (await ground.terminate('idle in transaction', 1)) === 0 && tries < MOST_TRIES; tries++);
      })
      await wait(PAUSE_MILLIS)
    }
  },
}
