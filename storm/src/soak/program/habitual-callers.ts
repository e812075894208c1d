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
  #open: AbortController | undefined

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
    if (this.#open) return
    this.#open = new AbortController()
    for (const habit of this.#habits) void this.#follow(habit, this.#open.signal) // Cannot reject: see there.
  }

  /** Nobody begins anything new. No pause goes on either: its timer would look like one that was left behind. */
  stop(): void {
    this.#open?.abort()
    this.#open = undefined
  }

  async #follow(habit: Habit, signal: AbortSignal): Promise<void> {
    const { random } = this.#setup
    while (!signal.aborted) {
      await sleep(2 * random() * habit.everyMillis, undefined, { signal }).catch(() => {}) // Stopped.
      if (!signal.aborted) await this.#act(habit) // The journal takes every error.
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
