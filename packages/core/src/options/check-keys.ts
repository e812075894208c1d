import type { Problems } from './check.ts'
import { DEFAULTS } from './defaults.ts'
import { didYouMean } from './did-you-mean.ts'

const POOL_KEYS = [...Object.keys(DEFAULTS), 'maxIdle', 'echo', 'logger', 'onConnect', 'query_timeout']

// A key that only resembles ours is refused, so what pg itself takes has to be known.
const PG_KEYS = new Set(
  `user database password port host connectionString stream statement_timeout ssl enableChannelBinding sslnegotiation
  lock_timeout keepAliveInitialDelayMillis idle_in_transaction_session_timeout application_name
  fallback_application_name types options client_encoding pipeline log Promise Client verify poolSize binary
  replication scramMaxIterations`.split(/\s+/),
)

/** Refuses keys that were probably meant to be options of the pool. What is foreign altogether goes to pg. */
export function checkPoolKeys(given: object, problems: Problems): void {
  for (const key of Object.keys(given)) {
    if (POOL_KEYS.includes(key) || PG_KEYS.has(key)) continue
    const meant = didYouMean(key, POOL_KEYS)
    if (meant) problems.found.push(`\`${key}\` is not an option, did you mean \`${meant}\`?`)
  }
}

/** Refuses every key of a group of options that isn't one of them. */
export function checkGroupKeys(group: string, given: object, allowed: readonly string[], problems: Problems): void {
  for (const key of Object.keys(given)) {
    if (allowed.includes(key)) continue
    const meant = didYouMean(key, allowed)
    const hint = meant ? `did you mean \`${meant}\`?` : `allowed are ${allowed.join(', ')}.`
    problems.found.push(`\`${group}.${key}\` is not an option, ${hint}`)
  }
}
