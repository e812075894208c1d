import { setTimeout as sleep } from 'node:timers/promises'
import { SETTINGS } from '../settings.ts'
import type { Service } from '../stacks/stack.ts'
import type { Journal, Trace } from './journal.ts'
import { seeded } from './random.ts'
import type { TransferOrder } from './transfer-order.ts'

/** What the callers of one process have in common. */
export interface CallersSetup {
  readonly service: Service
  readonly journal: Journal
  readonly seed: number
  /** How many processes of this stack there were before: keys must not repeat. */
  readonly incarnation: number
  /** The shortest and the longest pause of a caller between two operations. */
  readonly thinkMillis: readonly [number, number]
}

const DIRTY_EVERY_MILLIS = 60
const DECLINED_AMOUNT = SETTINGS.openingBalance * 1000

/**
 * The users of the service: readers, writers and movers of money, each with one operation at a time and a pause after it. None
 * repeats an operation, except a mover whose transfer fails at COMMIT: it submits the transfer once more, as customers do.
 */
export class Callers {
  readonly #setup: CallersSetup
  readonly #loops: (() => Promise<void>)[]
  #phase = 0
  #isOpen = false
  #isDirty = false
  #round = 0
  #keys = 0

  constructor(setup: CallersSetup) {
    this.#setup = setup
    const { readers, writers, movers } = SETTINGS
    const random = seeded(setup.seed)
    const make = (count: number, loop: (index: number) => () => Promise<void>): (() => Promise<void>)[] =>
      Array.from({ length: count }, (_, index) => this.#thinking(loop(index), seeded(random() * 2 ** 32)))
    this.#loops = [
      ...make(readers, () => () => this.#read(random)),
      ...make(writers, () => () => this.#write()),
      ...make(movers, (index) => this.#mover(index, random)),
      this.#every(SETTINGS.burstEveryMillis, () => this.#burst()),
      this.#every(DIRTY_EVERY_MILLIS, () => (this.#isDirty ? this.#leaveDirty() : Promise.resolve())),
    ]
  }

  /** Starts all callers. A caller with a hanging operation is replaced by a new one, as users are. */
  start(phase: number): void {
    this.#phase = phase
    if (this.#isOpen) return
    this.#isOpen = true
    this.#round++
    for (const loop of this.#loops) void loop() // Cannot reject: the journal takes every error.
  }

  /** Stops all callers: none begins a new operation. */
  stop(): void {
    this.#isOpen = false
  }

  /** Sets whether some callers release their connection with an open transaction. */
  set dirty(on: boolean) {
    this.#isDirty = on
  }

  /** Many callers query at once. */
  rush(): void {
    for (let count = 0; count < SETTINGS.poolMax / 2; count++) {
      void this.#write()
      void this.#run('read', () => this.#setup.service.slowRead())
    }
  }

  #thinking(operate: () => Promise<void>, random: () => number): () => Promise<void> {
    const [least, most] = this.#setup.thinkMillis
    return this.#whileOpen(operate, () => least + random() * (most - least))
  }

  #every(millis: number, operate: () => Promise<void>): () => Promise<void> {
    return this.#whileOpen(operate, () => millis)
  }

  #whileOpen(operate: () => Promise<void>, pauseMillis: () => number): () => Promise<void> {
    return async () => {
      const round = this.#round
      while (this.#isOpen && this.#round === round) {
        await sleep(pauseMillis())
        if (this.#isOpen && this.#round === round) await operate()
      }
    }
  }

  #read(random: () => number): Promise<void> {
    const account = Math.floor(random() * SETTINGS.accountsPerMover * SETTINGS.movers)
    return this.#run('read', () => this.#setup.service.read(account))
  }

  async #burst(): Promise<void> {
    await Promise.all(
      Array.from({ length: SETTINGS.poolMax }, () => this.#run('read', () => this.#setup.service.slowRead())),
    )
  }

  #write(): Promise<void> {
    const key = this.#nextKey('w')
    return this.#run('write', () => this.#setup.service.write({ key, phase: this.#phase }), key)
  }

  #leaveDirty(): Promise<void> {
    const key = this.#nextKey('d')
    return this.#run('dirty', () => this.#setup.service.leaveDirty({ key, phase: this.#phase }), key)
  }

  /**
   * Uses pairs of accounts of its own, one after the other, so that no transfer meets a row lock that a lost one left at
   * the server: what is measured is the pool.
   */
  #mover(index: number, random: () => number): () => Promise<void> {
    const first = index * SETTINGS.accountsPerMover
    const pairs = SETTINGS.accountsPerMover / 2
    let pair = Math.floor(random() * pairs)
    let count = 0
    return () => {
      pair = (pair + 1) % pairs
      const isBeyondMeans = ++count % SETTINGS.declineEvery === 0
      const key = this.#nextKey('t')
      const order = {
        key,
        phase: this.#phase,
        from: first + 2 * pair,
        to: first + 2 * pair + 1,
        amount: isBeyondMeans ? DECLINED_AMOUNT : 1 + Math.floor(random() * 20),
      }
      return this.#run('transfer', (trace) => this.#transfer(order, trace), key)
    }
  }

  async #transfer(order: TransferOrder, trace: Trace): Promise<void> {
    try {
      await this.#setup.service.transfer(order, trace)
    } catch (error) {
      if (!trace.resubmit(error)) throw error
      await this.#setup.service.transfer(order, trace)
    }
  }

  #run(kind: 'read' | 'write' | 'transfer' | 'dirty', work: Parameters<Journal['run']>[1], key = ''): Promise<void> {
    return this.#setup.journal.run({ kind, phase: this.#phase, key }, work)
  }

  #nextKey(kind: string): string {
    return `${kind}${this.#phase}.${this.#setup.incarnation}.${++this.#keys}`
  }
}
