/** What one turn of a mixed load does. */
export type Work = 'slow' | 'transaction' | 'write' | 'read'

/** What share of the turns does what. The others read. */
const SHARES: readonly (readonly [Work, number])[] = [
  ['slow', 0.01],
  ['transaction', 0.1],
  ['write', 0.2],
]

/** The golden ratio in 32 bits: it spreads the turns of each kind evenly, and gives no two of them the same distance. */
const STEP = 2_654_435_769

/** What the turn of this number does: the same for each contestant. */
export function workOf(turn: number): Work {
  let place = (Math.imul(turn, STEP) >>> 0) / 2 ** 32
  for (const [work, share] of SHARES) {
    if (place < share) return work
    place -= share
  }
  return 'read'
}
