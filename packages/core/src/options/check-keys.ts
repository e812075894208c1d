import type { Problems } from './check.ts'

// The names that other pools have for our options.
const SYNONYMS = new Map([
  ['pool_pre_ping', 'prePing'],
  ['pool_recycle', 'maxLifetimeSeconds'],
  ['pool_size', 'max'],
  ['max_overflow', 'max'],
  ['pool_timeout', 'connectionTimeoutMillis'],
  ['pool_reset_on_return', 'resetOnReturn'],
  ['pool_use_lifo', 'lifo'],
  ['pool_logging_name', 'name'],
  ['echo_pool', 'echo'],
  ['leakDetectionThreshold', 'leakDetectionMillis'],
  ['keepaliveTime', 'keepaliveMillis'],
  ['maxWaitingClients', 'maxWaiting'],
  ['queueMax', 'maxWaiting'],
  ['acquireTimeout', 'connectionTimeoutMillis'],
  ['acquireTimeoutMillis', 'connectionTimeoutMillis'],
  ['connectTimeout', 'connectionTimeoutMillis'],
  ['connectionTimeout', 'connectionTimeoutMillis'],
  ['idleTimeout', 'idleTimeoutMillis'],
  ['idleTimeoutMs', 'idleTimeoutMillis'],
  ['maxLifetime', 'maxLifetimeSeconds'],
  ['maxLifetimeMillis', 'maxLifetimeSeconds'],
  ['connectionLimit', 'max'],
  ['maxConnections', 'max'],
  ['max_connections', 'max'],
  ['maxPoolSize', 'max'],
  ['maximum', 'max'],
  ['maximumPoolSize', 'max'],
  ['minimum', 'min'],
  ['minimumIdle', 'min'],
])

// One wrong letter in a short word, two in a long one.
const LETTERS_PER_SLIP = 4
const MOST_SLIPS = 2

/** Refuses every key of an object of options that isn't one of those allowed. */
export function checkGroupKeys(group: string, given: object, allowed: readonly string[], problems: Problems): void {
  for (const key of Object.keys(given)) {
    if (allowed.includes(key)) continue
    const meant = didYouMean(key, allowed)
    const hint = meant ? `did you mean \`${meant}\`?` : `allowed are ${allowed.join(', ')}.`
    problems.found.push(`\`${group}.${key}\` is not an option, ${hint}`)
  }
}

/** The option that a misspelt key, or the key of another pool, was probably meant to be. */
export function didYouMean(key: string, options: readonly string[]): string | undefined {
  const synonym = SYNONYMS.get(key)
  if (synonym) return options.includes(synonym) ? synonym : undefined
  const slips = Math.min(MOST_SLIPS, Math.floor(key.length / LETTERS_PER_SLIP))
  return options.find((option) => isWithin(slips, key.toLowerCase(), option.toLowerCase()))
}

/** Whether at most so many letters must be dropped, inserted or replaced to make one word the other. */
function isWithin(slips: number, one: string, other: string): boolean {
  if (slips < 0) return false
  let same = 0
  while (same < one.length && one[same] === other[same]) same++
  const [rest, otherRest] = [one.slice(same), other.slice(same)]
  if (rest === '' || otherRest === '') return rest.length + otherRest.length <= slips
  return (
    isWithin(slips - 1, rest.slice(1), otherRest) ||
    isWithin(slips - 1, rest, otherRest.slice(1)) ||
    isWithin(slips - 1, rest.slice(1), otherRest.slice(1))
  )
}
