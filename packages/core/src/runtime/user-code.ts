/**
 * Whether the driver is reading what a socket has brought at this moment. An exception of the driver's then means that the
 * server's messages can't be read, and costs this one connection. An exception of the user's code that the driver calls
 * meanwhile must not be taken for one.
 */
let isDriverReading = false

/** Runs the driver's reading of what has arrived. Throws what the driver throws, and nothing that the user's code throws. */
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
 * Runs code of the user's: a callback or a listener. What it throws while the driver reads becomes an uncaught exception in
 * the next tick, so that the driver reads the rest and the connection stays intact.
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
