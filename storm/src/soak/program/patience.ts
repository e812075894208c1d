/** What an impatient caller aborts with. */
export class GivenUp extends Error {
  override readonly name: string = 'GivenUp'
}

/** A transaction that was given up. Held against the database: Holdfast promises that nothing of it was written. */
export class TransactionGivenUp extends GivenUp {
  readonly commitOutcome = 'aborted'
}

/** Does something that may be given up, at a random moment within the given time. */
export async function impatiently<Result>(
  random: () => number,
  withinMillis: number,
  work: (signal: AbortSignal) => Promise<Result>,
  reason: Error = new GivenUp('Given up'),
): Promise<Result> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(reason), random() * withinMillis)
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
  }
}
