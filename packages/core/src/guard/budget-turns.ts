import type { BudgetShare } from '../policy/budget-share.ts'

/** For how long a pool has had more than others, or has left others something: what can't be divided goes round. */
export class BudgetTurns {
  #extraSince: number | undefined
  #behindSince: number | undefined

  /** For how long it has had one connection more than others that wait. */
  extraMillis(now: number): number {
    return now - (this.#extraSince ?? now)
  }

  /** For how long it has left a free slot to another pool. */
  behindMillis(now: number): number {
    return now - (this.#behindSince ?? now)
  }

  /** Takes note of what it has. */
  note({ hasExtra, isBehind }: Pick<BudgetShare, 'hasExtra' | 'isBehind'>, now: number): void {
    this.#extraSince = hasExtra ? (this.#extraSince ?? now) : undefined
    this.#behindSince = isBehind ? (this.#behindSince ?? now) : undefined
  }
}
