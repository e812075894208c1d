import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../clock.ts'
import type { Fault, Scene } from '../faults/fault.ts'
import type { Ground } from '../ground/ground.ts'
import { SETTINGS } from '../settings.ts'
import type { Stack } from '../stacks/stack.ts'
import { audit, balancesAreRight } from '../truth/audit.ts'
import { leftoverSessions } from '../truth/leftovers.ts'
import { createSchema, dropSchema } from '../truth/schema.ts'
import type { Pending } from '../workload/journal.ts'
import { emptyPhase, type PhaseRecord, type StackRecord } from './record.ts'
import { ServiceProcess } from './service-process.ts'

/** What a lane is made of. */
export interface LaneSetup {
  readonly stack: Stack
  readonly faults: readonly Fault[]
  readonly ground: Ground
  readonly seed: number
  readonly signal: AbortSignal
}

const PAUSE_MILLIS = 300
const MOST_WARM_UPS = 5

/** One stack on its way through the storm, on its own ground and in its own process, from fault to fault. */
export class Lane implements AsyncDisposable {
  readonly record: StackRecord
  readonly #setup: LaneSetup
  #service: ServiceProcess | undefined
  #current: PhaseRecord | undefined

  private constructor(setup: LaneSetup) {
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

  /** Makes the tables and starts the service. */
  static async open(setup: LaneSetup): Promise<Lane> {
    const lane = new Lane(setup)
    const { stack, ground, seed } = setup
    await createSchema(ground)
    await ground.healNetwork()
    lane.#service = await ServiceProcess.start({
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
          for (const operation of operations) lane.record.phases[operation.phase]?.operations.push(operation)
        },
        overdue: (pending) => lane.record.phases[pending.phase]?.overdue.push(pending),
        crashed: (crash) => lane.#current?.crashes.push(crash),
      },
    })
    await lane.#warmUp()
    return lane
  }

  /** The phase under way. */
  get current(): PhaseRecord | undefined {
    return this.#current
  }

  /** Lives through one fault, which begins at the given moment. */
  async weather(index: number, startsAt: number): Promise<PhaseRecord> {
    const phase = this.record.phases[index]
    if (!phase) throw new Error(`BUG: there is no phase ${index}`)
    await this.#until(startsAt)
    this.#current = phase
    phase.startedAt = now()
    await this.#running.resume(index)
    await this.#until(startsAt + SETTINGS.calmMillis)
    phase.struckFrom = now()
    await phase.fault.strike(this.#scene(phase))
    phase.struckUntil = now()
    await this.#until(startsAt + SETTINGS.workloadMillis)
    await this.#takeStock(phase)
    phase.endedAt = now()
    return phase
  }

  /** Closes the pool as a service does that is shut down, and asks the database once more about everything. */
  async finish(): Promise<void> {
    this.record.endedWithinMillis = await this.#running.close()
    for (const phase of this.record.phases) phase.audit = await audit(this.#setup.ground, phase.operations, phase.index)
    await dropSchema(this.#setup.ground)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service?.[Symbol.asyncDispose]()
  }

  get #running(): ServiceProcess {
    if (!this.#service) throw new Error('BUG: the lane is not open')
    return this.#service
  }

  /** The network is well again, the callers rest: what is left? */
  async #takeStock(phase: PhaseRecord): Promise<void> {
    const { ground } = this.#setup
    await ground.healNetwork()
    const pending = await this.#drained()
    await ground.healNetwork() // The server now learns of those that were given up meanwhile.
    for (let round = 0; round < SETTINGS.probeRounds && phase.usableSlots < SETTINGS.poolMax; round++)
      phase.usableSlots = Math.max(phase.usableSlots, await this.#running.probe())
    phase.leftoverSessions = await leftoverSessions(ground)
    const isStuck = pending.length > 0 || phase.usableSlots < SETTINGS.poolMax || phase.leftoverSessions.length > 0
    if (isStuck) await this.#replace(phase, pending)
    phase.audit = await audit(ground, phase.operations, phase.index)
    phase.balancesAreRight = await balancesAreRight(ground)
  }

  /** What is still under way after a while. Whoever is only slow, and does not hang, may finish. */
  async #drained(): Promise<readonly Pending[]> {
    let pending: readonly Pending[]
    do pending = await this.#running.pause(SETTINGS.drainMillis)
    while (pending.some(({ startedAt }) => now() - startedAt < SETTINGS.hangMillis))
    return pending
  }

  /** So that the next fault meets a service that works. What it had under way has no outcome, and never will. */
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
    await ground.terminate() // Whatever its predecessor had left at the server.
    await this.#warmUp()
  }

  /** Every connection is there before a fault begins: on a slow machine it would strike a start, and not a service. */
  async #warmUp(): Promise<void> {
    for (let round = 0; round < MOST_WARM_UPS; round++) if ((await this.#running.probe()) === SETTINGS.poolMax) return
  }

  #scene(phase: PhaseRecord): Scene {
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
