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
import { wavesOf } from './waves.ts'

/** What to run. */
export interface Plan {
  readonly stacks: readonly Stack[]
  readonly faults: readonly Fault[]
  readonly seed: number
  /** A server to use instead of an embedded one for each stack. */
  readonly databaseUrl: string | undefined
}

/** Stacks that go through the storm side by side. */
export interface Wave {
  /** From 1. */
  readonly number: number
  /** How many there are. */
  readonly of: number
  readonly lanes: readonly { readonly record: StackRecord; readonly current: PhaseRecord | undefined }[]
}

/** Whom the storm tells how it goes. */
export interface StormListener {
  /** Everyone of this wave is ready; it begins. */
  began(wave: Wave): void
  phaseEnded(stack: Stack, phase: PhaseRecord): void
}

/**
 * Sends every stack through the same faults, wave after wave; those of one wave at the same moments, each on its own
 * ground. Leaves nothing behind, also when it is called off.
 *
 * @throws the signal's reason when it is called off.
 */
export async function runStorm(plan: Plan, listener: StormListener, signal: AbortSignal): Promise<StormRecord> {
  const startedAt = now()
  const stacks: StackRecord[] = []
  let server = ''
  const waves = wavesOf(plan.stacks, SETTINGS.lanesAtOnce)
  for (const [index, wave] of waves.entries()) {
    await using cleanup = new Cleanup()
    const lanes = await all(wave.map((stack) => openLane(stack, plan, cleanup, signal)))
    signal.throwIfAborted()
    server ||= await versionOf(lanes[0]?.ground)
    listener.began({ number: index + 1, of: waves.length, lanes: lanes.map(({ lane }) => lane) })
    stacks.push(
      ...(await runWave(
        lanes.map(({ lane }) => lane),
        plan.faults,
        listener,
      )),
    )
  }
  return { seed: plan.seed, startedAt, endedAt: now(), server, stacks }
}

async function runWave(
  lanes: readonly Lane[],
  faults: readonly Fault[],
  listener: StormListener,
): Promise<readonly StackRecord[]> {
  const records = lanes.map(({ record }) => record)
  for (const record of records) record.startedAt = now()
  for (const index of faults.keys()) {
    // Whoever is done waits for the others: nobody's calm is shorter because somebody else had to be replaced.
    const startsAt = now()
    await all(lanes.map(async (lane) => listener.phaseEnded(lane.record.stack, await lane.weather(index, startsAt))))
  }
  for (const record of records) record.endedAt = now()
  await all(lanes.map((lane) => lane.finish()))
  return records
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

/** As Promise.all, but a failure waits for the others, so that nothing is still being made while all is cleaned up. */
async function all<Value>(promises: readonly Promise<Value>[]): Promise<Value[]> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}
