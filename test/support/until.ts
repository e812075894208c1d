import { setTimeout as sleep } from 'node:timers/promises'
import { UntilTimeoutError } from './errors.ts'

/** Options of {@link until}. */
export interface UntilOptions {
  /**
   * How long to check, in milliseconds.
   *
   * @default 20_000: far above anything a healthy machine needs, below the timeout of a test, so that the message
   * says what was awaited and not only "test timed out".
   */
  readonly timeoutMillis?: number
  /**
   * The pause between two checks, in milliseconds.
   *
   * @default 10
   */
  readonly intervalMillis?: number
  /**
   * What is awaited, for the error message.
   *
   * @default the condition's source text
   */
  readonly what?: string
  /** Gives up early: rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * Waits until a condition holds, and returns the value that satisfied it. Only for what no event or promise announces: if there is
 * one, await that.
 *
 * ```ts
 * await until(() => proxy.connections === 0)
 * const victim = await until(async () => (await cluster.sessions()).find(({ state }) => state === 'active'))
 * ```
 *
 * @throws {UntilTimeoutError} when the condition still fails after `timeoutMillis`; an error that the condition threw
 * last is its cause.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMillis = 20_000, intervalMillis = 10, what, signal }: UntilOptions = {},
): Promise<Exclude<T, false | 0 | '' | null | undefined>> {
  const deadline = performance.now() + timeoutMillis
  let failure: unknown
  for (;;) {
    signal?.throwIfAborted()
    try {
      const value = await condition()
      // TypeScript doesn't narrow a type parameter by truthiness, hence the cast.
      if (value) return value as Exclude<T, false | 0 | '' | null | undefined>
      failure = undefined
    } catch (error) {
      failure = error // A check of a restarting server may fail. Only the last failure is reported.
    }
    if (performance.now() >= deadline) {
      const awaited = what ?? condition.toString().replace(/\s+/g, ' ')
      throw new UntilTimeoutError(`Waited ${timeoutMillis} ms in vain for: ${awaited}`, { cause: failure })
    }
    await pause(intervalMillis, signal)
  }
}

async function pause(millis: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(millis, undefined, signal ? { signal } : {})
  } catch (error) {
    signal?.throwIfAborted() // Node wraps the reason in an error of its own.
    throw error
  }
}
