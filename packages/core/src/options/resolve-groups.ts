import { type Problems, withoutUndefined } from './check.ts'
import { checkGroupKeys } from './check-keys.ts'
import { DEFAULTS } from './defaults.ts'
import type { ConnectRetryOptions, PrePingOptions } from './pool-options.ts'
import type { ConnectRetry, PrePing } from './resolved-options.ts'

/** Completes `prePing`. A timeout that the user did not choose adapts to a short deadline, one that he chose must fit. */
export function resolvePrePing(
  given: boolean | PrePingOptions,
  deadlineMillis: number,
  problems: Problems,
): PrePing | false {
  if (given === false) return false
  if (given !== true && (typeof given !== 'object' || given === null)) {
    problems.add('prePing', 'true, false, or { idleMillis, timeoutMillis }', given)
    return false
  }
  const chosen: PrePingOptions = given === true ? {} : withoutUndefined(given)
  checkGroupKeys('prePing', chosen, Object.keys(DEFAULTS.prePing), problems)
  const timeoutMillis = Math.min(DEFAULTS.prePing.timeoutMillis, deadlineMillis / 2)
  const prePing = { ...DEFAULTS.prePing, timeoutMillis, ...chosen } as PrePing
  problems.number('prePing.idleMillis', prePing.idleMillis, 0)
  if (chosen.timeoutMillis !== undefined) problems.number('prePing.timeoutMillis', chosen.timeoutMillis, 1)
  if (prePing.timeoutMillis >= deadlineMillis)
    problems.add(
      'prePing.timeoutMillis',
      `shorter than \`connectionTimeoutMillis\` (${deadlineMillis})`,
      prePing.timeoutMillis,
    )
  return Object.freeze(prePing)
}

/** Completes `connectRetry`, so that p-retry never finds fault with it. */
export function resolveConnectRetry(given: false | ConnectRetryOptions, problems: Problems): ConnectRetry | false {
  if (given === false) return false
  if (typeof given !== 'object' || given === null) {
    problems.add('connectRetry', "false, or p-retry's options", given)
    return false
  }
  checkGroupKeys('connectRetry', given, Object.keys(DEFAULTS.connectRetry), problems)
  const retry = { ...DEFAULTS.connectRetry, ...withoutUndefined(given) } as ConnectRetry
  problems.wholeNumber('connectRetry.retries', retry.retries, 0, 'or Infinity')
  problems.number('connectRetry.minTimeout', retry.minTimeout, 0)
  problems.number('connectRetry.maxTimeout', retry.maxTimeout, 0, 'or Infinity')
  problems.number('connectRetry.factor', retry.factor, 1)
  problems.oneOf('connectRetry.randomize', retry.randomize, [true, false])
  return Object.freeze(retry)
}
