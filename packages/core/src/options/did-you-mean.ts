// Words that users of other pools arrive with.
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

// One slip in a short word, two in a long one.
const LETTERS_PER_SLIP = 4
const MOST_SLIPS = 2

/** The option that a misspelt or foreign key was probably meant to be. */
export function didYouMean(key: string, options: readonly string[]): string | undefined {
  const synonym = SYNONYMS.get(key)
  if (synonym) return options.includes(synonym) ? synonym : undefined
  const slips = Math.min(MOST_SLIPS, Math.floor(key.length / LETTERS_PER_SLIP))
  return options.find((option) => distance(key.toLowerCase(), option.toLowerCase()) <= slips)
}

/** How many letters must be inserted, dropped, or replaced to make one word the other (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = at(row, j - 1) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, at(row, j) + 1, at(next, j - 1) + 1))
    }
    row = next
  }
  return at(row, to.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
