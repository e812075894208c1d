/** Shows the progress: one line that changes on a terminal, a line per contest elsewhere. */
export class Progress implements Disposable {
  readonly #out: NodeJS.WriteStream
  readonly #startedAt = performance.now()

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** A contest begins. */
  began(contest: string): void {
    if (this.#out.isTTY) this.#show(contest)
    else this.#out.write(`${this.#clock()}  ${contest}\n`)
  }

  /** A round of it is over. */
  round(contest: string, round: number, rounds: number): void {
    if (this.#out.isTTY) this.#show(`${contest} · ${round}/${rounds}`)
  }

  [Symbol.dispose](): void {
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  #show(text: string): void {
    // A line that wraps can't be replaced.
    const width = (this.#out.columns || 80) - 1
    this.#out.write(`\r\u001b[K${`${this.#clock()}  ${text}`.slice(0, width)}`)
  }

  #clock(): string {
    return `${String(Math.round((performance.now() - this.#startedAt) / 1000)).padStart(3)} s`
  }
}
