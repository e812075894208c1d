import type { Ground } from '../ground/ground.ts'

/**
 * What an act does to the open connections:
 * - `kills`: they are dead, and the process is notified;
 * - `silences`: they are dead or damaged, and the process notices only when it uses them;
 * - `spares`: none of them is lost.
 */
export type Effect = 'kills' | 'silences' | 'spares'

/** What a fault can do to the service. */
export interface Victim {
  /** Stops its callers, so that its connections are idle. */
  pause(): Promise<void>
  resume(): Promise<void>
  freeze(): void
  thaw(): void
  block(millis: number): Promise<void>
  dirty(on: boolean): Promise<void>
}

/** What a fault works with. */
export interface FaultContext {
  readonly ground: Ground
  readonly victim: Victim
  /** Does something harmful and records when, so that errors can be compared with it. */
  act<Result>(effect: Effect, work: () => Result | Promise<Result>): Promise<Result>
  /** Waits. Rejects when the storm is aborted. */
  wait(millis: number): Promise<void>
}

/** One kind of failure that a service meets. */
export interface Fault {
  /** Its name on the command line. */
  readonly name: string
  /** Its name in tables. */
  readonly title: string
  /** What happens, in a sentence. */
  readonly story: string
  /** Whether it needs control of the server, or only a connection to it. */
  readonly needs: 'server' | 'connection'
  strike(context: FaultContext): Promise<void>
}

/** The proxy that reads all messages and can act at one of them. A fault of `needs: 'server'` always has it. */
export function aimedOf({ ground }: FaultContext): NonNullable<Ground['aimed']> {
  if (!ground.aimed) throw new Error('BUG: this fault needs a server of our own')
  return ground.aimed
}

/** The server. A fault of `needs: 'server'` always has it. */
export function serverOf({ ground }: FaultContext): NonNullable<Ground['cluster']> {
  if (!ground.cluster) throw new Error('BUG: this fault needs a server of our own')
  return ground.cluster
}
