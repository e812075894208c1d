import { now } from '../clock.ts'
import type { Fault } from '../faults/fault.ts'
import { embeddedGround } from '../ground/embedded.ts'
import { externalGround } from '../ground/external.ts'
import type { Ground } from '../ground/ground.ts'
import { type Pace, SETTINGS } from '../settings.ts'
import type { Stack } from '../stacks/stack.ts'
import { dropSchema } from '../truth/schema.ts'
import { Cleanup } from './cleanup.ts'
import type { PhaseRecord, StackRecord, StormRecord } from './record.ts'
import { StackRun } from './stack-run.ts'
import { wavesOf } from './waves.ts'

/** What to run. */
export interface Plan {
  readonly stacks: readonly Stack[]
  readonly faults: readonly Fault[]
  readonly isShort: boolean
  readonly seed: number
  /** A server to use instead of an embedded one for each stack. */
  readonly databaseUrl: string | undefined
}

/** Stacks that run through the storm at the same time. */
export interface Wave {
  /** From 1. */
  readonly number: number
  readonly runs: readonly { readonly record: StackRecord; readonly current: PhaseRecord | undefined }[]
}

/** Is called with the progress of the storm. */
export interface StormListener {
  /** All stacks of this wave are ready, and it begins. */
  began(wave: Wave): void
  phaseEnded(stack: Stack, phase: PhaseRecord): void
}

/**
 * Runs every stack through the same faults, wave after wave. The stacks of one wave meet them at the same moments, each with a
 * server of its own. Leaves nothing behind, even when it is aborted.
 *
 * @throws the signal's reason when it is aborted.
 */
export async function runStorm(plan: Plan, listener: StormListener, signal: AbortSignal): Promise<StormRecord> {
  const startedAt = now()
  const stacks: StackRecord[] = []
  let server = ''
  const waves = wavesOf(plan.stacks, SETTINGS.stacksAtOnce)
  for (const [index, wave] of waves.entries()) {
    await using cleanup = new Cleanup()
    const runs = await all(wave.map((stack) => openRun(stack, plan, cleanup, signal)))
    signal.throwIfAborted()
    server ||= await versionOf(runs[0]?.ground)
    listener.began({ number: index + 1, runs: runs.map(({ run }) => run) })
    stacks.push(
      ...(await runWave(
        runs.map(({ run }) => run),
        plan,
        listener,
      )),
    )
  }
  return { seed: plan.seed, startedAt, endedAt: now(), server, stacks }
}

/** How long the phases of this run are. */
export function paceOf({ isShort }: Pick<Plan, 'isShort'>): Pace {
  return isShort ? SETTINGS.short : SETTINGS.whole
}

async function runWave(
  runs: readonly StackRun[],
  plan: Plan,
  listener: StormListener,
): Promise<readonly StackRecord[]> {
  const { calmMillis, workloadMillis, recoveryMillis } = paceOf(plan)
  const records = runs.map(({ record }) => record)
  for (const record of records) record.startedAt = now()
  for (const index of plan.faults.keys()) {
    // A stack that is done waits for the others, so that no calm is shorter because another process had to be replaced.
    const startsAt = now()
    await all(runs.map((run) => run.strike(index, startsAt + calmMillis)))
    // All stacks get the same time, so that their numbers can be compared.
    const endsAt = Math.max(startsAt + workloadMillis, now() + recoveryMillis)
    await all(runs.map(async (run) => listener.phaseEnded(run.record.stack, await run.endPhase(endsAt))))
  }
  for (const record of records) record.endedAt = now()
  await all(runs.map((run) => run.finish()))
  return records
}

async function openRun(
  stack: Stack,
  { faults, seed, databaseUrl }: Plan,
  cleanup: Cleanup,
  signal: AbortSignal,
): Promise<{ run: StackRun; ground: Ground }> {
  const make = databaseUrl === undefined ? embeddedGround : (name: string) => externalGround(name, databaseUrl)
  const ground = await make(stack.name)
  cleanup.add(() => ground[Symbol.asyncDispose]())
  if (databaseUrl !== undefined) cleanup.add(() => dropSchema(ground))
  const run = await StackRun.open({ stack, faults, ground, seed, signal })
  cleanup.add(() => run[Symbol.asyncDispose]())
  return { run, ground }
}

async function versionOf(ground: Ground | undefined): Promise<string> {
  const [row] = (await ground?.query<{ server_version: string }>('show server_version')) ?? []
  return `PostgreSQL ${row?.server_version ?? 'of unknown version'}`
}

/** Like Promise.all, but a failure waits for the others, so that nothing is created during the cleanup. */
async function all<Value>(promises: readonly Promise<Value>[]): Promise<Value[]> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}
