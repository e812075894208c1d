import { DEFAULTS } from '../options/defaults.ts'
import { codeOf, isError, messageOf, nameOf } from '../thrown.ts'
import { escaped, oneLine } from './escape.ts'
import type { EventConnection } from './events.ts'

/** What every line of a pool begins with: `[holdfast:orders 4711] `, or `[holdfast 4711] ` if it has no name. */
export function prefixOf(poolName: string): string {
  // Read each time: a pool can outlive its process, in a snapshot of it.
  return `[${poolName === DEFAULTS.name ? 'holdfast' : `holdfast:${escaped(poolName)}`} ${process.pid}] `
}

/** A connection, and who serves it. */
export function withBackend({ id, backendPid }: EventConnection): string {
  return `connection ${id} (backend ${backendPid ?? 'unknown'})`
}

/** A duration, for people. */
export function millis(duration: number): string {
  return `${Math.round(duration)} ms`
}

/** A duration that may be long, for people: `12 ms`, `4.3 s`. */
export function duration(length: number): string {
  return length < 1000 ? millis(length) : `${(length / 1000).toFixed(1)} s`
}

/** Why something happened: the code, if there is one, and the message, in one line whatever is in it. */
export function reasonOf(cause: unknown): string {
  if (cause === undefined || cause === null || typeof cause === 'boolean') return 'none given'
  const name = isError(cause) ? nameOf(cause) : undefined
  const kind = codeOf(cause) ?? (name === 'Error' ? undefined : name)
  const message = oneLine(messageOf(cause))
  return kind ? `${kind}: ${message}` : message
}
