import type { Cancel } from './clock.ts'

/** Those who give up when one signal is aborted. */
class Followers {
  readonly #signal: AbortSignal
  readonly #all = new Set<{ readonly giveUp: () => void }>()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  join(giveUp: () => void): Cancel {
    const follower = { giveUp }
    if (this.#all.size === 0) this.#signal.addEventListener('abort', this.#tell, { once: true })
    this.#all.add(follower)
    return () => {
      if (this.#all.delete(follower) && this.#all.size === 0) this.#signal.removeEventListener('abort', this.#tell)
    }
  }

  /** In the order in which they joined. Those whom another's end has had leave meanwhile aren't told. */
  readonly #tell = (): void => {
    for (const follower of this.#all) {
      this.#all.delete(follower)
      try {
        follower.giveUp()
      } catch (error) {
        // As a signal does it: one caller's bug costs the others nothing, and is seen.
        process.nextTick(() => {
          throw error
        })
      }
    }
  }
}

const FOLLOWERS = new WeakMap<AbortSignal, Followers>()

/**
 * Calls `giveUp` when the signal is aborted, once, unless the function that this returns is called before. However many
 * follow a signal, it has one listener: it looks through all of its listeners for each that comes or goes.
 */
export function onAbort(signal: AbortSignal, giveUp: () => void): Cancel {
  let followers = FOLLOWERS.get(signal)
  if (!followers) {
    followers = new Followers(signal)
    FOLLOWERS.set(signal, followers)
  }
  return followers.join(giveUp)
}

/** A signal of one's own that is aborted when another one is, until it leaves that. */
export interface FollowedSignal {
  readonly signal: AbortSignal
  readonly leave: Cancel
}

/** Follows a signal by another, for those who listen to it by themselves: the first has one listener all the same. */
export function followSignal(signal: AbortSignal): FollowedSignal {
  if (signal.aborted) return { signal, leave: () => {} }
  const own = new AbortController()
  return { signal: own.signal, leave: onAbort(signal, () => own.abort(signal.reason)) }
}
