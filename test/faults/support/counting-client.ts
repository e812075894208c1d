import pg from 'pg'

/** What is known of the attempts to connect that were made with a {@link countingClient}. */
export interface Attempts {
  started: number
  succeeded: number
  readonly errors: (Error & { readonly code?: string })[]
  /** How many were under way when another one started, itself included, and how many had succeeded by then. */
  readonly starts: { readonly underWay: number; readonly succeeded: number }[]
}

/** A class of clients, for the option `Client`, that counts attempts to connect. */
export function countingClient(): { readonly Client: typeof pg.Client; readonly attempts: Attempts } {
  const attempts: Attempts = { started: 0, succeeded: 0, errors: [], starts: [] }
  class Client extends pg.Client {
    // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client.
    override connect(callback?: any): any {
      attempts.started++
      const { succeeded, errors } = attempts
      attempts.starts.push({ underWay: attempts.started - succeeded - errors.length, succeeded })
      const connected = new Promise<void>((resolve, reject) => {
        super.connect((error: Error | null) => {
          if (error) attempts.errors.push(error)
          else attempts.succeeded++
          return error ? reject(error) : resolve()
        })
      })
      if (!callback) return connected
      connected.then(
        () => callback(),
        (error: unknown) => callback(error),
      )
    }
  }
  return { Client, attempts }
}
