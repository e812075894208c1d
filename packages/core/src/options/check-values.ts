import type { Problems } from './check.ts'
import type { ResetPolicy } from './pool-options.ts'

const RESET_POLICIES: readonly ResetPolicy[] = ['rollback', 'commit', 'session', 'discard', 'none']
const LOGGER_METHODS = ['debug', 'info', 'warn', 'error'] as const

/** One of the names, or a function. */
export function checkResetPolicy(option: string, policy: unknown, problems: Problems): void {
  if (typeof policy === 'function' || RESET_POLICIES.includes(policy as ResetPolicy)) return
  problems.add(option, `one of ${RESET_POLICIES.map((name) => `'${name}'`).join(', ')}, or a function`, policy)
}

/** Something that can be written to. */
export function checkLogger(logger: unknown, problems: Problems): void {
  if (logger === undefined) return
  const has = (method: string): boolean => typeof (logger as Record<string, unknown> | null)?.[method] === 'function'
  if (!LOGGER_METHODS.every(has)) problems.add('logger', `an object with ${LOGGER_METHODS.join(', ')}`, logger)
}
