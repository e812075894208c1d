import { checkGroupKeys, isReadable, withoutUndefined } from './check.ts'
import { type Host, type LoadBalance, readHostOptions } from './hosts.ts'
import type { ReplicaOptions } from './pool-options.ts'
import type { Reading } from './read-values.ts'

/** The replicas of a pool, checked and completed. */
export interface Replicas {
  readonly hosts: readonly Host[]
  readonly max: number
  readonly loadBalanceHosts: LoadBalance
  readonly fallback: NonNullable<ReplicaOptions['fallback']>
  /** `Infinity` if the lag isn't measured. */
  readonly maxLagBytes: number
}

// Complete by its type.
const KEYS: Record<keyof ReplicaOptions, true> = {
  hosts: true,
  max: true,
  loadBalanceHosts: true,
  fallback: true,
  maxLagBytes: true,
}

/** Reads `replicas`; undefined if there are none. */
export function readReplicas(given: unknown, { option, all, problems }: Reading): Replicas | undefined {
  if (given === undefined) return undefined
  if (!isReadable(given)) {
    problems.add(option, `an object with hosts, such as { hosts: [{ host: 'a' }] }`, given)
    return undefined
  }
  const chosen = withoutUndefined(given as Partial<ReplicaOptions>)
  checkGroupKeys(option, chosen, Object.keys(KEYS), problems)
  const hosts = readHostOptions(`${option}.hosts`, chosen.hosts, all, problems)
  const replicas = {
    max: all.max as number,
    loadBalanceHosts: 'random',
    fallback: 'primary',
    maxLagBytes: Number.POSITIVE_INFINITY,
    ...chosen,
    hosts,
  } as const
  if (chosen.max !== undefined) problems.wholeNumber(`${option}.max`, chosen.max, 1)
  problems.oneOf(`${option}.loadBalanceHosts`, replicas.loadBalanceHosts, [false, 'random', 'round-robin'])
  problems.oneOf(`${option}.fallback`, replicas.fallback, ['primary', 'wait', 'fail'])
  problems.number(`${option}.maxLagBytes`, replicas.maxLagBytes, 0, 'or Infinity')
  return Object.freeze(replicas)
}
