/** Undoes what was done, in reverse order. A failure doesn't stop the rest. */
export class Cleanup implements AsyncDisposable {
  readonly #tasks: (() => Promise<void>)[] = []

  /** Adds a function that undoes what has just been done. */
  add(task: () => Promise<void>): void {
    this.#tasks.push(task)
  }

  /** @throws {AggregateError} of all failures, after the last attempt. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = []
    for (let task = this.#tasks.pop(); task; task = this.#tasks.pop()) {
      try {
        await task()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'The storm could not clean up after itself.')
  }
}
