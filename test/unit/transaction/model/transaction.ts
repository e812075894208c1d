/** An open transaction of the model server, with its uncommitted writes. */
export class ModelTransaction {
  /** Assigned at its first write. */
  id: bigint | undefined
  isReadOnly = false
  /** Whether COMMIT will fail. */
  isDoomed = false
  /** Whether COMMIT is being executed, so that it may take effect at any time. */
  isCommitting = false
  #labels: string[] = []
  #late: string[] = []
  readonly #savepoints: { readonly name: string; readonly labels: string[]; readonly late: string[] }[] = []

  /** What becomes visible when it commits. */
  get labels(): readonly string[] {
    return [...this.#labels, ...this.#late]
  }

  /** Whether it writes something only at COMMIT. */
  get writesLate(): boolean {
    return this.#late.length > 0
  }

  write(label: string): void {
    this.#labels.push(label)
  }

  writeLate(label: string): void {
    this.#late.push(label)
  }

  save(name: string): void {
    this.#savepoints.push({ name, labels: [...this.#labels], late: [...this.#late] })
  }

  /** Removes a savepoint and those inside; false if there is none of this name. */
  release(name: string): boolean {
    const at = this.#savepoints.findLastIndex((each) => each.name === name)
    if (at === -1) return false
    this.#savepoints.length = at
    return true
  }

  /** Undoes what came after a savepoint, and keeps the savepoint; false if there is none of this name. */
  undoTo(name: string): boolean {
    const savepoint = this.#savepoints.findLast((each) => each.name === name)
    if (!savepoint) return false
    this.release(name)
    this.#labels = [...savepoint.labels]
    this.#late = [...savepoint.late]
    this.save(name)
    return true
  }
}
