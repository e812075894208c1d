import { setTimeout as sleep } from 'node:timers/promises'
import { UntilTimeoutError } from './errors.ts'

/** Options of {@link until}. */
export interface UntilOptions {
  /**
   * How long to go on asking, in milliseconds.
   *
   * @default 20_000: far above anything a healthy machine needs, below the timeout of a test, so that the message
   * says what was awaited instead of only "test timed out".
   */
  readonly timeoutMillis?: number
  /**
   * The pause between two questions, in milliseconds.
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
  /** Gives up early; rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * Waits until a condition holds, and hands back the value that satisfied it. For what no event or promise announces;
 * where there is one, await that instead.
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
      // The cast says what truthiness means; TypeScript does not narrow a type parameter by it.
      if (value) return value as Exclude<T, false | 0 | '' | null | undefined>
      failure = undefined
    } catch (error) {
      failure = error // A question to a restarting server may fail; only the last failure is worth telling.
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
    signal?.throwIfAborted() // Node wraps the reason into an error of its own.
    throw error
  }
}
