const reasons = new WeakSet<object>()

/**
 * Why a signal was aborted, to be told as it is: any reason is the aborter's good right. Only "nothing" isn't, since it
 * would mean success.
 */
export function abortReason(signal: AbortSignal): Error {
  const reason = signal.reason || new DOMException('This operation was aborted', 'AbortError')
  if (typeof reason === 'object') reasons.add(reason)
  return reason
}

/** Whether this is the reason of somebody's abort. */
export function isAbortReason(error: object): boolean {
  return reasons.has(error)
}
