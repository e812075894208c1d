import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../clock.ts'
import type { Fault, FaultContext } from '../faults/fault.ts'
import type { Ground } from '../ground/ground.ts'
import { SETTINGS } from '../settings.ts'
import type { Stack } from '../stacks/stack.ts'
import { audit, balancesAreRight } from '../truth/audit.ts'
import { leftoverSessions } from '../truth/leftovers.ts'
import { createSchema, dropSchema } from '../truth/schema.ts'
import type { Pending } from '../workload/journal.ts'
import { emptyPhase, type PhaseRecord, type StackRecord } from './record.ts'
import { ServiceProcess } from './service-process.ts'

/** What a run needs. */
export interface StackRunSetup {
  readonly stack: Stack
  readonly faults: readonly Fault[]
  readonly ground: Ground
  readonly seed: number
  readonly signal: AbortSignal
}

const PAUSE_MILLIS = 300
const MOST_WARM_UPS = 5

/** Runs one stack through all faults of the storm, with a server and a process of its own. */
export class StackRun implements AsyncDisposable {
  readonly record: StackRecord
  readonly #setup: StackRunSetup
  #service: ServiceProcess | undefined
  #current: PhaseRecord | undefined

  private constructor(setup: StackRunSetup) {
    this.#setup = setup
    const { stack, faults } = setup
    this.record = {
      stack,
      startedAt: 0,
      endedAt: 0,
      phases: faults.map((fault, index) => emptyPhase(fault, index)),
      endedWithinMillis: undefined,
    }
  }

  /** Creates the tables and starts the service. */
  static async open(setup: StackRunSetup): Promise<StackRun> {
    const run = new StackRun(setup)
    const { stack, ground, seed } = setup
    await createSchema(ground)
    await ground.healNetwork()
    run.#service = await ServiceProcess.start({
      stack: stack.name,
      setup: {
        connection: ground.service,
        schema: ground.schema,
        max: SETTINGS.poolMax,
        queryTimeoutMillis: SETTINGS.queryTimeoutMillis,
      },
      seed,
      listener: {
        operations: (operations) => {
          for (const operation of operations) run.record.phases[operation.phase]?.operations.push(operation)
        },
        overdue: (pending) => run.record.phases[pending.phase]?.overdue.push(pending),
        crashed: (crash) => run.#current?.crashes.push(crash),
      },
    })
    await run.#warmUp()
    return run
  }

  /** The current phase. */
  get current(): PhaseRecord | undefined {
    return this.#current
  }

  /** Begins a phase: starts the callers, and at the given moment the fault. Resolves when the fault has ended. */
  async strike(index: number, strikesAt: number): Promise<void> {
    const phase = this.record.phases[index]
    if (!phase) throw new Error(`BUG: there is no phase ${index}`)
    this.#current = phase
    phase.startedAt = now()
    await this.#running.resume(index)
    await this.#until(strikesAt)
    phase.struckFrom = now()
    await phase.fault.strike(this.#context(phase))
    phase.struckUntil = now()
  }

  /** Ends the current phase at the given moment. */
  async endPhase(endsAt: number): Promise<PhaseRecord> {
    const phase = this.#current
    if (!phase) throw new Error('BUG: no phase has begun')
    await this.#until(endsAt)
    await this.#takeStock(phase)
    phase.endedAt = now()
    return phase
  }

  /** Closes the pool as at the shutdown of a service, and checks all writes in the database once more. */
  async finish(): Promise<void> {
    this.record.endedWithinMillis = await this.#running.close()
    for (const phase of this.record.phases) phase.audit = await audit(this.#setup.ground, phase.operations, phase.index)
    await dropSchema(this.#setup.ground)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service?.[Symbol.asyncDispose]()
  }

  get #running(): ServiceProcess {
    if (!this.#service) throw new Error('BUG: the service is not started')
    return this.#service
  }

  /** Heals the network, stops the callers, and records what is left. */
  async #takeStock(phase: PhaseRecord): Promise<void> {
    const { ground } = this.#setup
    await ground.healNetwork()
    const pending = await this.#drained()
    await ground.healNetwork() // The server now learns of the connections that were given up in between.
    for (let round = 0; round < SETTINGS.probeRounds && phase.usableSlots < SETTINGS.poolMax; round++)
      phase.usableSlots = Math.max(phase.usableSlots, await this.#running.probe())
    phase.leftoverSessions = await leftoverSessions(ground)
    const isStuck = pending.length > 0 || phase.usableSlots < SETTINGS.poolMax || phase.leftoverSessions.length > 0
    if (isStuck) await this.#replace(phase, pending)
    phase.audit = await audit(ground, phase.operations, phase.index)
    phase.balancesAreRight = await balancesAreRight(ground)
  }

  /** The operations that are still running after a while. Slow operations that don't hang may finish first. */
  async #drained(): Promise<readonly Pending[]> {
    let pending: readonly Pending[]
    do pending = await this.#running.pause(SETTINGS.drainMillis)
    while (pending.some(({ startedAt }) => now() - startedAt < SETTINGS.hangMillis))
    return pending
  }

  /** Replaces the process, so that the next fault meets a working service. Its running operations get no outcome. */
  async #replace(phase: PhaseRecord, pending: readonly Pending[]): Promise<void> {
    const { ground } = this.#setup
    phase.wasReplaced = true
    await this.#running.replace()
    await ground.healNetwork()
    const endedAt = now()
    for (const operation of pending)
      this.record.phases[operation.phase]?.operations.push({
        ...operation,
        leasedAt: undefined,
        endedAt,
        outcome: 'unanswered',
        reachedCommit: true,
        attempts: 0,
        wasResubmitted: false,
      })
    await ground.terminate() // Ends the sessions that the process before has left at the server.
    await this.#warmUp()
  }

  /** Opens every connection before a fault begins: on a slow machine the fault would strike a starting service. */
  async #warmUp(): Promise<void> {
    for (let round = 0; round < MOST_WARM_UPS; round++) if ((await this.#running.probe()) === SETTINGS.poolMax) return
  }

  #context(phase: PhaseRecord): FaultContext {
    const service = this.#running
    return {
      ground: this.#setup.ground,
      wait: (millis) => this.#wait(millis),
      act: async (effect, work) => {
        const from = now()
        try {
          return await work()
        } finally {
          phase.acts.push({ effect, from, until: now() })
        }
      },
      victim: {
        pause: async () => {
          await service.pause(PAUSE_MILLIS)
        },
        resume: async () => {
          phase.resumedAt = now()
          await service.resume(phase.index)
        },
        freeze: () => service.freeze(),
        thaw: () => service.thaw(),
        block: (millis) => service.block(millis),
        dirty: (on) => service.dirty(on),
      },
    }
  }

  #until(time: number): Promise<void> {
    return this.#wait(Math.max(0, time - now()))
  }

  async #wait(millis: number): Promise<void> {
    await sleep(millis, undefined, { signal: this.#setup.signal })
  }
}
