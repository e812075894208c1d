import { AsyncResource } from 'node:async_hooks'
import { Pool, runTransaction } from '@holdfast/core'
import { vi } from 'vitest'
import { Judge, type Told } from './judge.ts'
import { Network } from './network.ts'
import { orm } from './orm.ts'
import type { Plan, TransactionPlan } from './plans.ts'
import { ModelServer } from './server.ts'
import { objectionToSharedRead, runSharedRead, type SharedReadTold } from './shared-read.ts'
import { objectionToSingle, runSingle, type SinglePlan, type SingleTold } from './single.ts'
import { perform, type Tx } from './steps.ts'

// Everything that follows from an event happens within a few rounds of the event loop.
const ROUNDS = 3
const { setImmediate: setRealImmediate } = globalThis
const MOST_EVENTS = 5000
const LONGEST_MILLIS = 600_000

/** How long an inquiry and a wait for a connection may take. */
const INQUIRY_MILLIS = 2000

/** The result of a plan. */
export interface Outcome {
  readonly complaints: readonly string[]
  /** What happened, in order. */
  readonly trace: readonly string[]
}

/** Runs a plan on fake timers, and judges the result. */
export async function runPlan(plan: Plan): Promise<Outcome> {
  return await new PlanRun(plan).run()
}

class PlanRun {
  readonly #plan: Plan
  readonly #server = new ModelServer()
  readonly #network: Network
  readonly #judge: Judge
  readonly #pool: Pool
  readonly #signals: readonly AbortController[]
  readonly #told: (Told | undefined)[]
  readonly #toldOfSingles: (SingleTold | undefined)[]
  readonly #toldOfReads: (SharedReadTold | undefined)[]
  readonly #trace: string[] = []
  readonly #startedAt = performance.now()
  readonly #late: { readonly at: number; readonly run: () => void }[] = []
  #events = 0
  #haveReadsBegun = false

  constructor(plan: Plan) {
    this.#plan = plan
    this.#network = new Network(this.#server, plan.faults, plan.isPooled)
    this.#judge = new Judge(this.#network, INQUIRY_MILLIS)
    this.#signals = plan.transactions.map(() => new AbortController())
    this.#told = plan.transactions.map(() => undefined)
    this.#toldOfSingles = plan.singles.map(() => undefined)
    this.#toldOfReads = Array.from({ length: plan.sharedReads.count }, () => undefined)
    const silent = (): void => {}
    this.#pool = new Pool({
      host: 'db.example',
      port: 5432,
      user: 'app',
      password: 'secret',
      database: 'app',
      ssl: false,
      stream: this.#network.makeSocket as never,
      max: plan.connections,
      watch: plan.isWatched && { silentMillis: 60, timeoutMillis: 100 },
      invalidateOnDisconnect: plan.invalidateOnDisconnect,
      transactionalWrites: plan.transactionalWrites,
      connectionTimeoutMillis: INQUIRY_MILLIS,
      commitTimeoutMillis: 200,
      query_timeout: 400,
      ...(plan.prepares && { prepare: { threshold: 1 } }),
      logger: { debug: silent, info: silent, warn: silent, error: silent },
    })
  }

  async run(): Promise<Outcome> {
    const { transactions, singles } = this.#plan
    for (const [index, transaction] of transactions.entries()) {
      void this.#start(`t${index}`, transaction, this.#signals[index] as AbortController).then((told) => {
        this.#told[index] = told
        this.#trace.push(`t${index} is told ${'resolved' in told ? 'that it is written' : String(told.error)}`)
      })
    }
    if (!this.#plan.sharedReads.areBeforeSingles) this.#startSingles()
    const areAllTold = (): boolean =>
      [...this.#told, ...this.#toldOfSingles, ...this.#toldOfReads].every((told) => told !== undefined)
    await this.#runEvents(areAllTold)
    for (const [index, told] of this.#told.entries()) if (!told) this.#judge.complaints.push(`t${index} is never told`)
    for (const [index, told] of this.#toldOfSingles.entries())
      if (!told) this.#judge.complaints.push(`s${index} is never told`)
    await this.#end()
    for (const [index, told] of this.#toldOfReads.entries()) {
      const objection = told ? objectionToSharedRead(`r${index}`, told) : 'is never told'
      if (objection) this.#judge.complaints.push(`r${index} ${objection}`)
    }
    for (const [index, told] of this.#toldOfSingles.entries()) {
      const single = singles[index]
      const objection = single && told && this.#objectionTo(single, `s${index}`, told)
      if (objection) this.#judge.complaints.push(`s${index} ${objection}`)
    }
    for (const [index, told] of this.#told.entries())
      if (told) this.#judge.judge(`t${index}`, transactions[index] as TransactionPlan, told)
    return {
      complaints: [...this.#server.complaints, ...this.#judge.complaints],
      trace: this.#trace,
    }
  }

  #startSingles(): void {
    for (const [index, single] of this.#plan.singles.entries()) {
      void runSingle(this.#pool, single, `s${index}`).then((told) => {
        this.#toldOfSingles[index] = told
        this.#trace.push(`s${index} is told ${'error' in told ? String(told.error) : 'that it has succeeded'}`)
      })
    }
  }

  /** And the singles, if they come later. Returns whether there are any that had not begun. */
  #startSharedReads(): boolean {
    if (this.#haveReadsBegun) return false
    this.#haveReadsBegun = true
    for (const index of this.#toldOfReads.keys())
      void runSharedRead(this.#pool, `r${index}`).then((told) => {
        this.#toldOfReads[index] = told
        this.#trace.push(`r${index} is told ${'error' in told ? String(told.error) : String(told.got)}`)
      })
    const { areBeforeSingles } = this.#plan.sharedReads
    if (areBeforeSingles) this.#startSingles()
    return this.#toldOfReads.length > 0 || areBeforeSingles
  }

  /** Ends the pool, and lets everything arrive that is still under way. */
  async #end(): Promise<void> {
    let hasEnded = false
    void this.#pool.end().then(() => {
      hasEnded = true
    })
    await this.#runEvents(() => hasEnded && this.#network.possibilities.length === 0 && vi.getTimerCount() === 0)
    this.#judge.judgeLeftovers(this.#plan.transactions)
    if (!hasEnded) this.#judge.complaints.push('the pool never ends')
    this.#network.dropAll()
    await settleEvents()
    vi.clearAllTimers()
  }

  #objectionTo(single: SinglePlan, label: string, told: SingleTold): string | undefined {
    const { transactionalWrites } = this.#plan
    return objectionToSingle(single, label, told, { transactionalWrites, network: this.#network, judge: this.#judge })
  }

  #start(key: string, plan: TransactionPlan, { signal }: AbortController): Promise<Told> {
    const { runBy, steps, throws, retries, timeoutMillis, lateBy, abortsAfter } = plan
    const later = (task: () => void): void => {
      this.#late.push({ at: this.#events + lateBy, run: AsyncResource.bind(task) })
    }
    const fn = async (tx: Tx, { attempt }: { attempt: number }): Promise<void> => {
      this.#trace.push(`${key} attempt ${attempt}`)
      await perform(tx, steps, key, this.#judge.begins(key, attempt, later))
      if (throws) throw new Error('of the application')
    }
    const options = {
      retry: { retries, minTimeout: 0, maxTimeout: 0 },
      timeoutMillis,
      ...(abortsAfter !== undefined && { signal }),
    }
    const running =
      runBy === 'pool.transaction'
        ? this.#pool.transaction(fn as never, options)
        : runTransaction<Tx, void>(orm(this.#pool, runBy), fn, options)
    return running.then(
      () => ({ resolved: true }),
      (error: unknown) => ({ error }),
    )
  }

  /** Lets one event after the other happen, as the plan chooses, until `isOver`. */
  async #runEvents(isOver: () => boolean): Promise<void> {
    while (this.#events < MOST_EVENTS && performance.now() - this.#startedAt < LONGEST_MILLIS) {
      for (const [index, { abortsAfter }] of this.#plan.transactions.entries())
        if (abortsAfter === this.#events) this.#signals[index]?.abort(new Error('given up'))
      for (const { at, run } of this.#late) if (at === this.#events) run()
      if (this.#events >= this.#plan.sharedReads.after) this.#startSharedReads()
      await settleEvents()
      if (isOver()) return
      const choice = this.#plan.choices[this.#events++] ?? 0
      const { possibilities } = this.#network
      if (choice === -1) this.#network.passTime()
      const chosen = choice === -1 ? undefined : possibilities[choice % possibilities.length]
      if (chosen) {
        this.#trace.push(chosen.what)
        chosen.happen()
      } else if (vi.getTimerCount() > 0) {
        vi.advanceTimersToNextTimer()
        this.#trace.push(`${Math.round(performance.now() - this.#startedAt)} ms`)
      } else if (possibilities.length === 0 && !this.#startSharedReads()) return
    }
  }
}

async function settleEvents(): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await new Promise<void>((resolve) => setRealImmediate(resolve))
}
