import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../../clock.ts'
import type { Fault, FaultContext } from '../../faults/fault.ts'
import { FAULTS } from '../../faults/index.ts'
import { embeddedGround } from '../../ground/embedded.ts'
import type { Ground } from '../../ground/ground.ts'
import { Cleanup } from '../../run/cleanup.ts'
import { SETTINGS } from '../../settings.ts'
import { audit, balancesAreRight } from '../../truth/audit.ts'
import { createSchema } from '../../truth/schema.ts'
import { seeded } from '../../workload/random.ts'
import { SOAK } from '../settings.ts'
import { take } from './errors-seen.ts'
import { faultOrder } from './fault-order.ts'
import type { Books, CalmPoint, SoakRecord } from './record.ts'
import { SecondHand } from './second-hand.ts'
import { SoakedProcess, SoakedProcessFailed } from './soaked-process.ts'

/** Is called with the progress of the soak. */
export interface SoakListener {
  began(record: SoakRecord): void
  struck(fault: Fault): void
  calm(point: CalmPoint): void
}

/**
 * Strikes one process with one fault after the other, and checks after each what is left. Fills the record on the way, so that
 * it can be read however the soak ends. Leaves nothing behind, even when it is aborted.
 *
 * @throws the signal's reason when it is aborted.
 */
export async function runSoak(record: SoakRecord, listener: SoakListener, signal: AbortSignal): Promise<void> {
  await using cleanup = new Cleanup()
  const ground = await embeddedGround('soak')
  cleanup.add(() => ground[Symbol.asyncDispose]())
  await createSchema(ground)
  await ground.healNetwork()
  signal.throwIfAborted()
  let secondHand: SecondHand | undefined
  const soaked = new SoakedProcess({
    ended: (operation) => take(record, operation),
    sampled: (sample) => secondHand?.take(sample),
    warned: (warning) => record.warnings.add(warning),
  })
  cleanup.add(() => soaked[Symbol.asyncDispose]())
  // All questions to the process are rejected at once, so that the soak ends wherever it is.
  signal.addEventListener('abort', () => soaked.kill(), { once: true })
  secondHand = new SecondHand(ground, record.seconds)
  const seconds = secondHand
  cleanup.add(() => seconds[Symbol.asyncDispose]())
  try {
    await new Soak(record, ground, soaked, signal).run(listener)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof SoakedProcessFailed)) throw error
    record.crash = error.message
  } finally {
    record.endedAt = now()
  }
}

class Soak {
  readonly #record: SoakRecord
  readonly #ground: Ground
  readonly #soaked: SoakedProcess
  readonly #signal: AbortSignal
  readonly #random: () => number

  constructor(record: SoakRecord, ground: Ground, soaked: SoakedProcess, signal: AbortSignal) {
    this.#record = record
    this.#ground = ground
    this.#soaked = soaked
    this.#signal = signal
    this.#random = seeded(record.seed)
  }

  async run(listener: SoakListener): Promise<void> {
    const { service: connection, schema } = this.#ground
    const record = this.#record
    const [row] = await this.#ground.query<{ server_version: string }>('show server_version')
    record.server = `PostgreSQL ${row?.server_version}`
    await this.#soaked.ask({ type: 'open', connection, schema, seed: record.seed })
    record.startedAt = now()
    listener.began(record)
    const until = record.startedAt + record.minutes * 60_000
    for (const fault of faultOrder(FAULTS, this.#random)) {
      listener.struck(fault)
      const point = await this.#runFault(fault, record.calmPoints.length)
      record.calmPoints.push(point)
      listener.calm(point)
      if (point.pending.length > 0 || now() >= until) break
    }
    await this.#finish()
  }

  async #runFault(fault: Fault, phase: number): Promise<CalmPoint> {
    const [least, most] = SOAK.calmMillis
    await this.#soaked.ask({ type: 'start', phase })
    await this.#wait(least + this.#random() * (most - least))
    await fault.strike(this.#context(phase))
    await this.#wait(SOAK.recoveryMillis)
    return this.#takeStock(fault)
  }

  async #takeStock(fault: Fault): Promise<CalmPoint> {
    await this.#ground.healNetwork()
    const { pending, habits } = await this.#soaked.ask({ type: 'pause', withinMillis: SOAK.drainMillis })
    await this.#ground.healNetwork() // The server now learns of the connections that were given up in between.
    const usableSlots = await this.#usableSlots()
    const books = await this.#books(({ connections, sockets, sessions }) => {
      return connections === sockets && sockets === sessions
    })
    const { sample } = await this.#soaked.ask({ type: 'measure', withinMillis: SOAK.settleMillis })
    const left = await this.#books(({ connections, sockets, sessions }) => connections + sockets + sessions === 0)
    return { fault, at: now(), pending, habits, usableSlots, books, sample, left }
  }

  async #usableSlots(): Promise<number> {
    let most = 0
    for (let round = 0; round < SETTINGS.probeRounds && most < SETTINGS.poolMax; round++) {
      const command = { type: 'probe', count: SETTINGS.poolMax, withinMillis: SETTINGS.probeMillis } as const
      most = Math.max(most, (await this.#soaked.ask(command)).answered)
    }
    return most
  }

  /** The counts of connections as soon as they are right, or at the deadline. */
  async #books(areRight: (books: Books) => boolean): Promise<Books> {
    const deadline = now() + SOAK.settleMillis
    for (;;) {
      const { connections } = (await this.#soaked.ask({ type: 'look' })).sample
      const sessions = (await this.#ground.sessions()).length
      const books = { connections, sockets: this.#ground.proxy.connections, sessions }
      if (areRight(books) || now() > deadline) return books
      await this.#wait(20)
    }
  }

  async #finish(): Promise<void> {
    const ground = this.#ground
    const { sample } = await this.#soaked.ask({ type: 'close' })
    const endedByItself = await this.#soaked.endsWithin(SOAK.settleMillis)
    const deadline = now() + SOAK.settleMillis
    let sessions = await ground.sessions()
    while (sessions.length > 0 && now() < deadline) {
      await this.#wait(20)
      sessions = await ground.sessions()
    }
    this.#record.end = {
      sample,
      left: { sockets: ground.proxy.connections, sessions: sessions.length },
      endedByItself,
      audit: await audit(ground, this.#record.operations),
      balancesAreRight: await balancesAreRight(ground),
    }
  }

  #context(phase: number): FaultContext {
    const soaked = this.#soaked
    return {
      ground: this.#ground,
      wait: (millis) => this.#wait(millis),
      act: async (_effect, work) => work(),
      victim: {
        pause: async () => {
          await soaked.ask({ type: 'pause', withinMillis: SOAK.drainMillis })
        },
        resume: async () => {
          await soaked.ask({ type: 'start', phase })
        },
        freeze: () => soaked.freeze(),
        thaw: () => soaked.thaw(),
        block: async (millis) => {
          await soaked.ask({ type: 'block', millis })
        },
        dirty: async (on) => {
          await soaked.ask({ type: 'dirty', on })
        },
      },
    }
  }

  async #wait(millis: number): Promise<void> {
    await sleep(millis, undefined, { signal: this.#signal })
  }
}
