/** A pause in the program's own ticking that only a frozen process can have. */
const FROZEN_MILLIS = 1500
const TICK_MILLIS = 10

/**
 * Resolves after a freeze, in the phase of timers: they come before input, so the pool is used before anything that
 * came in meanwhile has been read.
 */
export function frozen(): Promise<void> {
  return new Promise((resolve) => {
    let last = performance.now()
    const ticking = setInterval(() => {
      const now = performance.now()
      const pause = now - last
      last = now
      if (pause < FROZEN_MILLIS) return
      clearInterval(ticking)
      resolve()
    }, TICK_MILLIS)
  })
}
