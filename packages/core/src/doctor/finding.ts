import type { PoolOptions } from '../options/pool-options.ts'

/** `fail`: something will not work. `warn`: it works, and something is worth knowing or changing. */
export type Status = 'ok' | 'warn' | 'fail'

/** What one check has found. */
export interface Finding {
  /** The name of the check. Names stay the same from version to version. */
  readonly check: string
  readonly status: Status
  /** What was found, in words. */
  readonly found: string
  /** What to do, or what to know. One sentence. */
  readonly advice?: string
  /** The options of the pool that suit. */
  readonly options?: PoolOptions
}

const ORDER: readonly Status[] = ['ok', 'warn', 'fail']

/** The worst status of these findings. */
export function worstOf(findings: readonly Finding[]): Status {
  return ORDER[Math.max(0, ...findings.map(({ status }) => ORDER.indexOf(status)))] ?? 'ok'
}
