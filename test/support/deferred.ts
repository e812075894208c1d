/** A promise with its two ends; `Promise.withResolvers`, which Node 20 does not have. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Makes a {@link Deferred}. Nobody is obliged to await it: a test that fails before it does must not fail for a second
 * reason when the promise is rejected.
 */
export function deferred<T = void>(): Deferred<T> {
  let ends: Omit<Deferred<T>, 'promise'> | undefined
  const promise = new Promise<T>((resolve, reject) => {
    ends = { resolve, reject }
  })
  promise.catch(() => {})
  return { promise, ...(ends as Omit<Deferred<T>, 'promise'>) }
}
