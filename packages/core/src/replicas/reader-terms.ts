import type { HostFallback } from '../connect/host-list.ts'
import { addressFor } from '../connection/listening-client.ts'
import type { Engine } from '../engine/engine.ts'
import type { Host } from '../options/hosts.ts'
import type { PoolOptions } from '../options/pool-options.ts'
import type { Replicas } from '../options/replicas.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import { copyOptions } from '../options/secrets.ts'
import { isPreference } from '../policy/host-suitability.ts'

/** What makes a pool the reader of another one. */
export interface ReaderTerms {
  readonly options: ResolvedOptions
  readonly replicas: Replicas
  /** The engine of the pool that it belongs to. */
  readonly primary: Engine
  /** Where its connections lead while no replica suits. */
  readonly fallback: HostFallback | undefined
}

/** By the options that the reader is made with: they are no options of a user's. */
const terms = new WeakMap<object, ReaderTerms>()

/** What makes the pool with these options a reader; undefined if it isn't one. */
export function readerTermsOf(options: object | null | undefined): ReaderTerms | undefined {
  return options ? terms.get(options) : undefined
}

/** The options of `pool.reader`: those of the pool, on its replicas. */
export function readerOptions(given: PoolOptions, pool: ResolvedOptions, primary: Engine): PoolOptions {
  const replicas = pool.replicas as Replicas
  const { max, loadBalanceHosts, hosts, fallback } = replicas
  const options: ResolvedOptions = Object.freeze({
    ...pool,
    hosts,
    max,
    loadBalanceHosts,
    min: Math.min(pool.min, max),
    maxIdle: Math.min(pool.maxIdle === pool.max ? max : pool.maxIdle, max),
    name: `${pool.name}-reader`,
    targetSessionAttrs: 'standby',
    replicas: undefined,
    // It is about the connections to the primary.
    budget: undefined,
    transactionalWrites: false,
    pipelineWrites: false,
  })
  const copy: PoolOptions = { ...copyOptions(given), replicas: undefined }
  terms.set(copy, {
    options,
    replicas,
    primary,
    fallback: fallback === 'primary' ? fallbackTo(given, pool) : undefined,
  })
  return copy
}

/** The hosts of the primary. A single one is named, since the other options lead to the replicas. */
function fallbackTo(given: PoolOptions, { hosts, targetSessionAttrs }: ResolvedOptions): HostFallback {
  const single: Host | undefined = hosts.length > 0 ? undefined : addressFor(copyOptions(given) as object)
  return {
    hosts: single ? [single] : hosts,
    targetSessionAttrs: isPreference(targetSessionAttrs) ? 'any' : targetSessionAttrs,
  }
}
