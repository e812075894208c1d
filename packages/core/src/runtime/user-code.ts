/**
 * Whether the driver is at work on what a socket has brought, in this very moment. What it throws then is about the
 * server's messages, and costs one connection; what the user's code throws from within is the user's, and must not be
 * taken for it.
 */
let isDriverReading = false

/** Runs what the driver does with what has arrived. Throws what the driver throws, and nothing of the user's. */
export function whileDriverReads<Input>(read: (input: Input) => void, input: Input): void {
  const before = isDriverReading
  isDriverReading = true
  try {
    read(input)
  } finally {
    isDriverReading = before
  }
}

/**
 * Runs code of the user's: a callback, a listener. What it throws while the driver reads is thrown outside of that, where
 * nobody catches it: the rest of what has arrived is read, and the connection is none the worse.
 */
export function runUserCode<Result>(run: () => Result): Result | undefined {
  if (!isDriverReading) return run()
  isDriverReading = false
  try {
    return run()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
    return undefined
  } finally {
    isDriverReading = true
  }
}
