import type { TargetSessionAttrs } from '../options/pool-options.ts'

/**
 * What a server is: `standby`: it is in hot standby; `read-only`: it is not, and its transactions are read only by default;
 * `primary`: it takes writes.
 */
export type HostRole = 'primary' | 'standby' | 'read-only'

const SUITS: Readonly<Record<TargetSessionAttrs, (role: HostRole) => boolean>> = {
  any: () => true,
  'read-write': (role) => role === 'primary',
  'read-only': (role) => role !== 'primary',
  primary: (role) => role !== 'standby',
  standby: (role) => role === 'standby',
  'prefer-standby': (role) => role === 'standby',
  'prefer-primary': (role) => role !== 'standby',
}

/**
 * Whether a server of this role suits, or is preferred. One whose role can't be found out suits only where none is asked for.
 *
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
 */
export function suits(role: HostRole | undefined, target: TargetSessionAttrs): boolean {
  return role === undefined ? target === 'any' : SUITS[target](role)
}

/** Whether a server of another role is taken when none of the preferred one answers. */
export function isPreference(target: TargetSessionAttrs): boolean {
  return target.startsWith('prefer-')
}

/** Whether at most one of the hosts suits, so that a change of the host is a failover. */
export function isForPrimary(target: TargetSessionAttrs): boolean {
  return target === 'read-write' || target === 'primary' || target === 'prefer-primary'
}

/** How a host is ranked: lower ones are tried first. */
export function rankOf(
  known: { readonly role: HostRole | undefined; readonly hasFailed: boolean } | undefined,
  target: TargetSessionAttrs,
): number {
  if (known?.hasFailed) return 3
  // Where any suits, one that wasn't seen for a while is as good as one that was.
  if (target === 'any') return 0
  if (known?.role === undefined) return 1
  return suits(known.role, target) ? 0 : 2
}

/**
 * How a host is ranked that serves only while no replica suits: after replicas that suit, or that aren't known, and before all
 * others.
 */
export function rankOfFallback(...known: Parameters<typeof rankOf>): number {
  const rank = rankOf(...known)
  return rank === 3 ? 3 : 1 + (rank + 1) / 4
}
