/** What has to be undone, last thing first. One failure does not keep the rest from being undone. */
export class Cleanup implements AsyncDisposable {
  readonly #tasks: (() => Promise<void>)[] = []

  /** Remembers what undoes something that has just been done. */
  add(task: () => Promise<void>): void {
    this.#tasks.push(task)
  }

  /** @throws {AggregateError} of everything that failed, when all has been tried. */
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
