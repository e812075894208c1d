import { HoldfastError, pinName } from './holdfast-error.ts'

/**
 * The pool can't share the `budget` of this name, since the server can't tell which session holds a lock: the pool is behind a
 * connection pooler, or the server isn't PostgreSQL. Set `max` to this process's part instead. `cause` is the server's own error, if
 * there is one.
 */
export class BudgetError extends HoldfastError {
  /** The option `budget.name`. */
  readonly budget: string

  constructor(budget: string, why: string, cause?: unknown) {
    super(
      'HOLDFAST_BUDGET_UNAVAILABLE',
      `The budget '${budget}' can't be shared: ${why}. Set max to the part of this process instead of budget`,
      cause === undefined ? {} : { cause },
    )
    this.budget = budget
  }

  static {
    pinName(BudgetError, 'BudgetError')
  }
}

const usedUp = new WeakSet<object>()

/** Why no connection could be opened: the budget is used up. It passes, as what a server says that is full. */
export function budgetUsedUp(message: string): Error {
  const error = Object.assign(new Error(message), { code: '53300', severity: 'FATAL' })
  usedUp.add(error)
  return error
}

/** Whether this is why no connection could be opened. */
export function isBudgetUsedUp(error: unknown): boolean {
  return typeof error === 'object' && error !== null && usedUp.has(error)
}
