import { setTimeout as sleep } from 'node:timers/promises'
import type { Journal } from '../../workload/journal.ts'
import type { Habit } from './habits.ts'
import type { SoakedServiceSetup } from './soaked-service.ts'

/** One caller for each habit, beside the storm's own. */
export class HabitualCallers {
  readonly #habits: readonly Habit[]
  readonly #journal: Journal
  readonly #setup: SoakedServiceSetup
  readonly #running = new Map<Habit, number>()
  #phase = 0
  #round = 0
  #isOpen = false

  constructor(habits: readonly Habit[], journal: Journal, setup: SoakedServiceSetup) {
    this.#habits = habits
    this.#journal = journal
    this.#setup = setup
  }

  /** What is being done at this moment. */
  get running(): readonly string[] {
    return [...this.#running].filter(([, count]) => count > 0).map(([{ name }]) => name)
  }

  start(phase: number): void {
    this.#phase = phase
    if (this.#isOpen) return
    this.#isOpen = true
    this.#round++
    for (const habit of this.#habits) void this.#follow(habit) // Cannot reject: the journal takes every error.
  }

  /** Nobody begins anything new. */
  stop(): void {
    this.#isOpen = false
  }

  async #follow(habit: Habit): Promise<void> {
    const round = this.#round
    const { random } = this.#setup
    while (this.#isOpen && this.#round === round) {
      await sleep(2 * random() * habit.everyMillis)
      if (this.#isOpen && this.#round === round) await this.#act(habit)
    }
  }

  async #act(habit: Habit): Promise<void> {
    this.#count(habit, 1)
    const about = { kind: 'read', phase: this.#phase, key: '' } as const
    await this.#journal.run(about, () => habit.act(this.#setup))
    this.#count(habit, -1)
  }

  #count(habit: Habit, by: number): void {
    this.#running.set(habit, (this.#running.get(habit) ?? 0) + by)
  }
}
