import { setTimeout as pause } from 'node:timers/promises'

/** How many callers there are. */
export const CALLERS = 20

/** What became of the statements of many callers. */
export interface Outcomes {
  succeeded: number
  readonly errors: (Error & { readonly code?: string; readonly commitOutcome?: string })[]
}

/** Callers that query again and again until they are stopped. Returns their errors. */
export function traffic(run: () => Promise<unknown>): { readonly outcomes: Outcomes; stop(): Promise<Outcomes> } {
  const outcomes: Outcomes = { succeeded: 0, errors: [] }
  let goesOn = true
  const callers = Array.from({ length: CALLERS }, async () => {
    while (goesOn) {
      await run().then(
        () => outcomes.succeeded++,
        (error: Error) => outcomes.errors.push(error),
      )
      await pause(5)
    }
  })
  return {
    outcomes,
    async stop() {
      goesOn = false
      await Promise.all(callers)
      return outcomes
    },
  }
}
