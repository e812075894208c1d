import { isReadable, type Problems, withoutUndefined } from './check.ts'
import { checkGroupKeys } from './check-keys.ts'
import { DEFAULTS } from './defaults.ts'
import type { PrePingOptions } from './pool-options.ts'
import type { PrePing, Retry } from './resolved-options.ts'
import type { RetryOptions } from './retry-options.ts'

/** Completes `prePing`. A timeout that the user did not choose adapts to a short deadline, one that he chose must fit. */
export function resolvePrePing(
  given: boolean | PrePingOptions,
  deadlineMillis: number,
  problems: Problems,
): PrePing | false {
  if (given === false) return false
  if (given !== true && !isReadable(given)) {
    problems.add('prePing', 'true, false, or { idleMillis, timeoutMillis }', given)
    return false
  }
  const chosen: PrePingOptions = given === true ? {} : withoutUndefined(given)
  checkGroupKeys('prePing', chosen, Object.keys(DEFAULTS.prePing), problems)
  const timeoutMillis = Math.min(DEFAULTS.prePing.timeoutMillis, deadlineMillis / 2)
  const prePing = { ...DEFAULTS.prePing, timeoutMillis, ...chosen } as PrePing
  problems.number('prePing.idleMillis', prePing.idleMillis, 0)
  if (chosen.timeoutMillis !== undefined) problems.number('prePing.timeoutMillis', chosen.timeoutMillis, 1)
  if (typeof prePing.timeoutMillis === 'number' && prePing.timeoutMillis >= deadlineMillis)
    problems.add(
      'prePing.timeoutMillis',
      `shorter than \`connectionTimeoutMillis\` (${deadlineMillis})`,
      prePing.timeoutMillis,
    )
  return Object.freeze(prePing)
}

/** Completes a group of p-retry's options, so that p-retry never finds fault with it. `false` turns it off. */
export function resolveRetry(
  option: string,
  given: boolean | RetryOptions,
  defaults: Retry,
  problems: Problems,
): Retry | false {
  if (given === false) return false
  if (given === true) return defaults
  if (!isReadable(given)) {
    problems.add(option, "true, false, or p-retry's options", given)
    return false
  }
  checkGroupKeys(option, given, Object.keys(defaults), problems)
  const retry = { ...defaults, ...withoutUndefined(given) } as Retry
  problems.wholeNumber(`${option}.retries`, retry.retries, 0, 'or Infinity')
  problems.number(`${option}.minTimeout`, retry.minTimeout, 0)
  problems.number(`${option}.maxTimeout`, retry.maxTimeout, 0, 'or Infinity')
  problems.number(`${option}.factor`, retry.factor, 1)
  problems.oneOf(`${option}.randomize`, retry.randomize, [true, false])
  return Object.freeze(retry)
}
