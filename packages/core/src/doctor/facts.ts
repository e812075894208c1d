import type { TlsState } from '../driver/tls-state.ts'
import type { Capacity } from '../guard/capacity.ts'
import type { HostRole } from '../policy/host-suitability.ts'
import type { PoolerKind } from '../policy/pooler.ts'

/** What a question was answered, or why it wasn't: what the server has said, or what its answer lacks. */
export type Answer<Value> = { readonly value: Value } | { readonly refused: string }

/** How many connections the service wants. */
export interface Wanted {
  readonly processes: number
  /** The option `max` in each of them. */
  readonly max: number
}

/** Where the connection leads to. */
export interface Place {
  /** A name, an address, or the directory of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly database: string | undefined
}

/** The settings of the session by name, in the unit of `pg_settings`. */
export type Settings = ReadonlyMap<string, string>

/** How far the server's clock is ahead of this machine's, and how exactly that is known. In milliseconds. */
export interface ClockDifference {
  readonly aheadMillis: number
  readonly uncertaintyMillis: number
}

/** What the doctor has asked a server for. */
export interface Facts {
  readonly wanted: Wanted
  readonly place: Place
  readonly user: string
  /** As `version()` says it. */
  readonly version: string
  /** `server_version_num`, such as 180000; undefined if the server says none. */
  readonly versionNumber: number | undefined
  readonly tls: TlsState
  readonly pooler: PoolerKind
  readonly role: Answer<HostRole>
  readonly settings: Answer<Settings>
  readonly capacity: Answer<Capacity>
  /** Whether a session of this role can be watched and ended from another one. */
  readonly watch: Answer<true>
  /** Whether the server can be asked what became of a COMMIT. */
  readonly commits: Answer<true>
  readonly clock: Answer<ClockDifference>
  /** How long opening the connection took, in milliseconds. */
  readonly loginMillis: number
}

/** Whether the way to the server leaves this machine. */
export function isLocal({ host }: Place): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || host.startsWith('127.')
}

/** Whether there is a pooler in front of the server. */
export function hasPooler({ pooler }: Facts): boolean {
  return pooler === 'some' || pooler === 'session' || pooler === 'transaction'
}

/** A setting that is a number, in the unit of `pg_settings`; undefined if the server hasn't it, or hasn't told. */
export function numberOf({ settings }: Facts, name: string): number | undefined {
  const text = 'value' in settings ? settings.value.get(name) : undefined
  return text === undefined || !/^-?\d+$/.test(text) ? undefined : Number(text)
}
