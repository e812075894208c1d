import type { Connection } from '../connection/connection.ts'
import type { HeldSlot } from './budget-registry.ts'

/** The right to have one connection. */
export class BudgetSlot {
  readonly number: number
  /** The connection that has it; undefined before it is made. */
  holder: Connection | undefined = undefined
  /** Whether it was given back without a connection. */
  isGivenBack = false

  constructor(number: number) {
    this.number = number
  }

  /** Whether its connection has left the pool. */
  get isOver(): boolean {
    return this.isGivenBack || this.holder?.isGone() === true
  }

  /** With the process that serves its connection. */
  get held(): HeldSlot {
    return { slot: this.number, pid: this.holder?.backendPid ?? 0 }
  }
}

/** The slots of one pool. */
export class BudgetSlots {
  readonly #slots = new Set<BudgetSlot>()

  get size(): number {
    return this.#slots.size
  }

  /** Those of connections that have left the pool. */
  get over(): BudgetSlot[] {
    return [...this.#slots].filter(({ isOver }) => isOver)
  }

  /** Those whose session the server knows. */
  get held(): HeldSlot[] {
    return [...this.#slots]
      .filter(({ isOver }) => !isOver)
      .map((slot) => slot.held)
      .filter(({ pid }) => pid > 0)
  }

  has(slot: BudgetSlot): boolean {
    return this.#slots.has(slot)
  }

  /** The slot of a connection. */
  of(connection: Connection): BudgetSlot | undefined {
    for (const slot of this.#slots) if (slot.holder === connection) return slot
    return undefined
  }

  add(number: number): BudgetSlot {
    const slot = new BudgetSlot(number)
    this.#slots.add(slot)
    return slot
  }

  /** These are free at the server. */
  freed(numbers: readonly number[]): void {
    for (const slot of this.#slots) if (slot.isOver && numbers.includes(slot.number)) this.#slots.delete(slot)
  }

  /** Keeps only these. Another pool may have the others: their connections are closed as soon as they are free. */
  keep(numbers: readonly number[]): void {
    for (const slot of this.#slots) if (!numbers.includes(slot.number)) this.#lose(slot)
  }

  /** Gives up one of these, the connection of which is idle if possible. Returns its number, if there is one. */
  giveUp(numbers: readonly number[]): number[] {
    const some = [...this.#slots].filter(({ number }) => numbers.includes(number))
    const slot = some.find(({ holder }) => holder?.is('idle')) ?? some[0]
    if (!slot) return []
    this.#lose(slot)
    return [slot.number]
  }

  /** Forgets those of connections that have left the pool. */
  dropOver(): void {
    for (const slot of this.over) this.#slots.delete(slot)
  }

  clear(): void {
    this.#slots.clear()
  }

  #lose(slot: BudgetSlot): void {
    this.#slots.delete(slot)
    if (slot.holder) slot.holder.expiresAt = Number.NEGATIVE_INFINITY
  }
}
