/** Milliseconds since the epoch with fractions, comparable between the storm and its services on this machine. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}
