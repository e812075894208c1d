import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../clock.ts'
import type { Fault } from '../faults/fault.ts'
import { embeddedGround } from '../ground/embedded.ts'
import { externalGround } from '../ground/external.ts'
import type { Ground } from '../ground/ground.ts'
import { SETTINGS } from '../settings.ts'
import type { Stack } from '../stacks/stack.ts'
import { dropSchema } from '../truth/schema.ts'
import { Cleanup } from './cleanup.ts'
import { Lane } from './lane.ts'
import type { PhaseRecord, StackRecord, StormRecord } from './record.ts'

/** What to run. */
export interface Plan {
  readonly stacks: readonly Stack[]
  readonly faults: readonly Fault[]
  readonly seed: number
  /** A server to use instead of an embedded one for each stack. */
  readonly databaseUrl: string | undefined
}

/** Whom the storm tells how it goes. */
export interface StormListener {
  /** Everyone is ready; it begins. */
  began(lanes: readonly { readonly record: StackRecord; readonly current: PhaseRecord | undefined }[]): void
  phaseEnded(stack: Stack, phase: PhaseRecord): void
}

/**
 * Sends every stack through the same faults at the same moments, side by side, each on its own ground. Leaves nothing
 * behind, also when it is called off.
 *
 * @throws the signal's reason when it is called off.
 */
export async function runStorm(plan: Plan, listener: StormListener, signal: AbortSignal): Promise<StormRecord> {
  await using cleanup = new Cleanup()
  const lanes = await all(plan.stacks.map((stack) => openLane(stack, plan, cleanup, signal)))
  signal.throwIfAborted()
  const server = await versionOf(lanes[0]?.ground)
  const startedAt = now()
  listener.began(lanes.map(({ lane }) => lane))
  for (const index of plan.faults.keys()) {
    const startsAt = startedAt + index * SETTINGS.phaseMillis
    await all(
      lanes.map(async ({ lane }) => listener.phaseEnded(lane.record.stack, await lane.weather(index, startsAt))),
    )
    if (now() - startsAt < SETTINGS.phaseMillis) await pauseUntil(startsAt + SETTINGS.phaseMillis, signal)
  }
  await all(lanes.map(({ lane }) => lane.finish()))
  return { seed: plan.seed, startedAt, endedAt: now(), server, stacks: lanes.map(({ lane }) => lane.record) }
}

async function openLane(
  stack: Stack,
  { faults, seed, databaseUrl }: Plan,
  cleanup: Cleanup,
  signal: AbortSignal,
): Promise<{ lane: Lane; ground: Ground }> {
  const make = databaseUrl === undefined ? embeddedGround : (name: string) => externalGround(name, databaseUrl)
  const ground = await make(stack.name)
  cleanup.add(() => ground[Symbol.asyncDispose]())
  if (databaseUrl !== undefined) cleanup.add(() => dropSchema(ground))
  const lane = await Lane.open({ stack, faults, ground, seed, signal })
  cleanup.add(() => lane[Symbol.asyncDispose]())
  return { lane, ground }
}

async function versionOf(ground: Ground | undefined): Promise<string> {
  const [row] = (await ground?.query<{ server_version: string }>('show server_version')) ?? []
  return `PostgreSQL ${row?.server_version ?? 'of unknown version'}`
}

async function pauseUntil(time: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(0, time - now()), undefined, { signal })
}

/** As Promise.all, but a failure waits for the others, so that nothing is still being made while all is cleaned up. */
async function all<Value>(promises: readonly Promise<Value>[]): Promise<Value[]> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}
