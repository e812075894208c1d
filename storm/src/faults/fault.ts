import type { Ground } from '../ground/ground.ts'

/**
 * What an act does to the connections that are open. `kills`: they are dead, and the process hears of it. `silences`:
 * they are dead or damaged, and nothing tells the process until it uses them. `spares`: none of them is lost.
 */
export type Effect = 'kills' | 'silences' | 'spares'

/** The service as a fault can get at it. */
export interface Victim {
  /** Its callers stop, so that its connections lie idle. */
  pause(): Promise<void>
  resume(): Promise<void>
  freeze(): void
  thaw(): void
  block(millis: number): Promise<void>
  dirty(on: boolean): Promise<void>
}

/** Where a fault strikes. */
export interface Scene {
  readonly ground: Ground
  readonly victim: Victim
  /** Does something bad, and notes when, so that errors can be held against it. */
  act<Result>(effect: Effect, work: () => Result | Promise<Result>): Promise<Result>
  /** Lets time pass. Rejects when the storm is called off. */
  wait(millis: number): Promise<void>
}

/** One thing that goes wrong in the life of a service. */
export interface Fault {
  /** On the command line. */
  readonly name: string
  /** In tables. */
  readonly title: string
  /** What happens, in a sentence. */
  readonly story: string
  /** Whether the server itself must be ours, or a connection to it will do. */
  readonly needs: 'server' | 'connection'
  strike(scene: Scene): Promise<void>
}

/** What reads along between service and server, and can act at one message; it was promised with the server. */
export function aimedOf({ ground }: Scene): NonNullable<Ground['aimed']> {
  if (!ground.aimed) throw new Error('BUG: this fault needs a server of our own')
  return ground.aimed
}

/** The server that a fault of `needs: 'server'` was promised. */
export function serverOf({ ground }: Scene): NonNullable<Ground['cluster']> {
  if (!ground.cluster) throw new Error('BUG: this fault needs a server of our own')
  return ground.cluster
}
