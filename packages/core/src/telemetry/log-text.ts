import { OPTIONS } from '../options/option-table.ts'
import { codeOf, isError, messageOf, nameOf } from '../thrown.ts'

/** The beginning of every line about a pool: `[holdfast:orders 4711] `, or `[holdfast 4711] ` if it has no name. */
export function prefixOf(poolName: string): string {
  // The pid is read each time: a pool can outlive its process, in a snapshot of it.
  return `[${poolName === OPTIONS.name.default ? 'holdfast' : `holdfast:${escaped(poolName)}`} ${process.pid}] `
}

/** A connection, and the server process behind it. */
export function withBackend({ id, backendPid }: { readonly id: number; readonly backendPid: number | null }): string {
  return `connection ${id} (backend ${backendPid ?? 'unknown'})`
}

/** A duration for people: `12 ms`. */
export function millis(duration: number): string {
  return `${Math.round(duration)} ms`
}

/** A duration for people that may be long: `12 ms`, `4.3 s`. */
export function duration(length: number): string {
  return length < 1000 ? millis(length) : `${(length / 1000).toFixed(1)} s`
}

/** Why something happened: the code, if there is one, and the message, always in one line. */
export function reasonOf(cause: unknown): string {
  if (cause === undefined || cause === null || typeof cause === 'boolean') return 'none given'
  const name = isError(cause) ? nameOf(cause) : undefined
  const kind = codeOf(cause) ?? (name === 'Error' ? undefined : name)
  const message = oneLine(messageOf(cause))
  return kind ? `${kind}: ${message}` : message
}

/** Escapes a text of the user's, so that it can't begin another line, move the cursor or colour the screen. */
export function escaped(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (each) => `\\u${each.codePointAt(0)?.toString(16).padStart(4, '0')}`,
  )
}

/** A text as one line without control characters. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+\s*/gu, ' ').replaceAll(/\p{Cf}/gu, '')
}
