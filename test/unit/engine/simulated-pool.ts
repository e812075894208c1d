import { vi } from 'vitest'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import { HEARTBEAT_MILLIS } from '../../../packages/core/src/engine/maintenance.ts'
import type { ResetPolicy } from '../../../packages/core/src/options/pool-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/resolved-options.ts'
import type { PoolEventType } from '../../../packages/core/src/telemetry/events.ts'
import { adminShutdown, type FakeBackend, serverError, systemError } from '../../support/fake-client.ts'
import { EngineFixture } from './engine-fixture.ts'
import { look, lookAtChores, lookAtWaiters, lookForNeglected } from './event-recorder.ts'
import { ExpectedCounts } from './expected-counts.ts'
import { inspectRefusal } from './inspection.ts'
import type { HookName, Instant, Loss, PrintableOptions, ResetName, Step, Welcome, Wish } from './interleavings.ts'
import { SimulatedCaller } from './simulated-caller.ts'

// Whatever hangs on a moment happens before the event loop has gone round a few times.
const ROUNDS = 3
const { setImmediate: setRealImmediate } = globalThis

async function letItHappen(): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await new Promise<void>((resolve) => setRealImmediate(resolve))
}

const RESET_MILLIS = 5000
// Where callers wait for ever, each attempt without an answer may take twice as long as the one before.
const LONGEST_ATTEMPT_MILLIS = 3_600_000

/** A pool in which a history happens. */
export class SimulatedPool implements AsyncDisposable {
  readonly rig: EngineFixture
  readonly #ledger: ExpectedCounts
  /** What a listener does, once. */
  #meddling: Extract<Step, { do: 'in a listener' }> | undefined
  #isServing = false
  #doesHookThrow = false
  #isClosed = false
  #isRecovering = false

  constructor(given: PrintableOptions, hook: HookName) {
    const options = { ...given, resetOnReturn: this.#policy(given.resetOnReturn) }
    const onConnect = async (client: { query(sql: string): Promise<unknown> }): Promise<void> => {
      if (this.#doesHookThrow) throw new Error('the hook')
      if (hook === 'a hook that queries') await client.query('set a = b')
      // Under 'none' it would be the end of each connection.
      if (hook === 'a hook that leaves a transaction open' && given.resetOnReturn !== 'none')
        await client.query('begin')
    }
    this.rig = new EngineFixture(options, { onConnect: onConnect as never })
    this.#ledger = new ExpectedCounts(this.rig, resolveOptions(options), given)
    this.rig.publisher.subscribe((event) => {
      this.#ledger.hear(event)
      this.#meddle(event.type)
    })
  }

  get complaints(): readonly string[] {
    return this.#ledger.complaints
  }

  async perform(step: Step): Promise<void> {
    if (step.do === 'in a listener') this.#meddling = step
    else if (step.do === 'let it happen') await this.#settle()
    else if (step.do === 'pass') await this.#pass(step.millis)
    else if (step.do === 'let in') await this.#letIn(step.which)
    else if (step.do === 'freeze') await this.#freeze()
    else if (step.do === 'wake in another process') this.rig.pid++
    else this.#act(step)
    look(this.#ledger)
  }

  /** The server is well again, everybody gives back what he holds, and whoever still waits is served. */
  async recover(): Promise<void> {
    const { rig } = this
    this.#isRecovering = true
    this.#meddling = undefined
    this.#doesHookThrow = false
    rig.server.nextWelcomes.length = 0
    for (const to of ['talkative', 'polite'] as const) this.#act({ do: 'change the server', to })
    this.#act({ do: 'welcome', how: 'accept' })
    await this.#settle()
    for (let which = 0; which < rig.server.backends.length; which++) {
      this.#act({ do: 'answer', which })
    }
    for (const backend of this.#knocking()) backend.accept()
    for (const visit of [...this.#ledger.holders.values()]) this.#giveBack(visit)
    await this.#pass(2 * RESET_MILLIS)
    await this.#pass(31_000)
    if (this.#ledger.line.length > 0)
      this.#ledger.complaints.push(`${this.#ledger.line.length} still wait though the server is well`)
    if (this.#ledger.closedAt !== undefined) return
    await this.#acquireAll()
    await this.#pass(3 * HEARTBEAT_MILLIS)
    const { idle, opening, checking } = rig.engine.inventory.occupancy(rig.clock.now())
    if (idle + opening + checking < this.#ledger.options.min)
      this.#ledger.complaints.push(`${idle} kept ready of ${this.#ledger.options.min}`)
    look(this.#ledger)
  }

  /** Ends the pool, whatever state it is in, and looks what is left. */
  async end(): Promise<void> {
    const { engine, clock, server } = this.rig
    this.#meddling = undefined
    this.#act({ do: 'end' })
    const since = this.#ledger.closedAt ?? 0
    await this.#pass(this.#ledger.options.closeTimeoutMillis / 2)
    for (const [index, visit] of [...this.#ledger.holders.values()].entries())
      if (index % 2 === 0) this.#giveBack(visit)
    // Where no socket tells that it's closed, each has a goodbye of its own.
    await this.#pass(Math.max(0, since + this.#ledger.options.closeTimeoutMillis - clock.now()))
    await this.#settle()
    if (!this.#isClosed)
      this.#ledger.complaints.push(`close() takes longer than ${this.#ledger.options.closeTimeoutMillis} ms`)
    look(this.#ledger)

    const open = server.backends.flatMap(({ isOpen }, index) =>
      isOpen && !this.#ledger.abandoned.has(index + 1) ? [index + 1] : [],
    )
    if (open.length > 0) this.#ledger.complaints.push(`sockets ${open} are still open`)
    for (const visit of this.#ledger.visits)
      if (visit.state === 'waiting') this.#ledger.complaints.push('somebody still waits for a closed pool')
    for (const connection of this.#ledger.opened.keys()) {
      if (!this.#ledger.retired.has(connection))
        this.#ledger.complaints.push(`connection ${connection.id} was never told to be retired`)
      if (!this.#ledger.closed.has(connection))
        this.#ledger.complaints.push(`connection ${connection.id} was never told to be closed`)
    }
    if (engine.inventory.size !== 0) this.#ledger.complaints.push('a closed pool has connections')
    const late = this.#acquire({ signal: 'none', timeoutMillis: undefined, reset: undefined, whenTold: 'hold' })
    if (late.error?.code !== 'HOLDFAST_POOL_CLOSED')
      this.#ledger.complaints.push('a closed pool does not refuse who comes')
    const awaited = clock.timers('process')
    if (awaited > 0 && this.#ledger.abandoned.size === 0)
      this.#ledger.complaints.push(`${awaited} timers keep the process alive`)
    // Nobody tells a hook that never ends, or who was abandoned in the middle of something, that all is over.
    await this.#pass(LONGEST_ATTEMPT_MILLIS)
    if (vi.getTimerCount() > 0) this.#ledger.complaints.push(`${vi.getTimerCount()} timers are left`)
  }

  /** Leaves nothing under way that would reach into the next history. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    for (const backend of this.rig.server.backends) backend.disappear()
    await letItHappen()
    vi.clearAllTimers()
    if (this.#ledger.complaints.length === 0) this.rig[Symbol.dispose]()
    else this.rig.clock[Symbol.dispose]()
  }

  #act(instant: Instant): void {
    const { engine, server } = this.rig
    switch (instant.do) {
      case 'acquire':
        this.#acquire(instant)
        break
      case 'release': {
        const visit = nth([...this.#ledger.holders.values()], instant.who)
        if (!visit) break
        const discard = { plainly: undefined, twice: undefined, true: true, 'an error': new Error('unwell') }[
          instant.how
        ]
        this.#giveBack(visit, discard)
        if (instant.how === 'twice') this.#giveBackAgain(visit)
        break
      }
      case 'query': {
        const visit = nth([...this.#ledger.holders.values()], instant.who)
        if (visit?.connection) this.#query(visit.connection, instant.sql)
        break
      }
      case 'end the client': {
        const visit = nth([...this.#ledger.holders.values()], instant.who)
        ;(visit?.connection?.client as { end(done: () => void): void } | undefined)?.end(() => {})
        break
      }
      case 'abort':
        nth(
          this.#ledger.visits.filter(({ controller }) => controller && !controller.signal.aborted),
          instant.who,
        )?.controller?.abort(new Error('given up'))
        break
      case 'lose': {
        const backend = nth(
          server.backends.filter(({ isOpen }) => isOpen),
          instant.which,
        )
        if (backend) this.#lose(backend, instant.how)
        break
      }
      case 'silence': {
        const backend = nth(
          server.backends.filter(({ isOpen }) => isOpen),
          instant.which,
        )
        if (backend) backend.silent = true
        break
      }
      case 'answer': {
        const backend = server.backends[instant.which % Math.max(1, server.backends.length)]
        if (!backend?.isOpen) break
        backend.silent = false
        backend.answer()
        break
      }
      case 'welcome':
        this.#welcome(instant.how)
        break
      case 'change the server':
        if (instant.to === 'silent' || instant.to === 'talkative') server.silent = instant.to === 'silent'
        else server.hearsGoodbyes = instant.to === 'polite'
        break
      case 'invalidate':
        engine.invalidate(new Error('no longer trusted'))
        break
      case 'dispose':
        this.#dispose(instant.close)
        break
      case 'end':
        this.#close()
        break
    }
  }

  #acquire(wish: Wish): SimulatedCaller {
    const { engine, clock } = this.rig
    const reset = wish.reset && this.#policy(wish.reset)
    const visit = new SimulatedCaller(
      wish,
      clock.now(),
      wish.timeoutMillis ?? finite(this.#ledger.options.connectionTimeoutMillis),
      reset,
    )
    this.#ledger.visits.push(visit)
    this.#ledger.line.push(visit)
    const wasServing = this.#isServing
    this.#isServing = true
    engine.acquire({
      options: {
        ...(visit.controller && { signal: visit.controller.signal }),
        ...(wish.timeoutMillis !== undefined && { connectionTimeoutMillis: wish.timeoutMillis }),
        ...(reset && { resetOnReturn: reset }),
      },
      leased: (connection) => this.#leased(visit, connection),
      failed: (error) => this.#failed(visit, error),
    })
    this.#isServing = wasServing
    return visit
  }

  #leased(visit: SimulatedCaller, connection: Connection): void {
    if (visit.state !== 'waiting') this.#ledger.complaints.push(`somebody who is ${visit.state} got a connection`)
    if (!this.#ledger.granted.delete(visit)) this.#ledger.complaints.push('somebody got a connection before his turn')
    const { received } = this.rig.server.backend(connection.id)
    visit.state = 'holding'
    visit.connection = connection
    visit.leasedAt = this.rig.clock.now()
    visit.receivedBefore = received.length
    const client = connection.clientForLease()
    visit.giveBack = client.release
    this.#ledger.holders.set(connection, visit)
    if (visit.wish.whenTold === 'release at once' || this.#isRecovering) this.#giveBack(visit)
  }

  #failed(visit: SimulatedCaller, error: Error & { code?: string }): void {
    if (visit.state !== 'waiting') this.#ledger.complaints.push(`somebody who is ${visit.state} was refused`)
    visit.state = 'gone'
    visit.error = error
    if (this.#ledger.line.includes(visit)) this.#ledger.line.splice(this.#ledger.line.indexOf(visit), 1)
    inspectRefusal(this.#ledger, visit, error)
    if (visit.wish.whenTold === 'ask again if refused' && this.#ledger.closedAt === undefined)
      this.#acquire({ ...visit.wish, signal: 'none', whenTold: 'hold' })
  }

  #giveBack(visit: SimulatedCaller, discard?: Error | boolean): void {
    const { connection } = visit
    if (!connection) return
    const { received } = this.rig.server.backend(connection.id)
    const given = visit.wish.reset ?? this.#ledger.given.resetOnReturn
    this.#ledger.dues.set(connection, {
      policy: given,
      status: connection.inSync ? (connection.transactionStatus ?? 'unknown') : 'unknown',
      hasWorked: received.length > visit.receivedBefore,
      received: received.length,
      resetCalls: this.#ledger.resetCalls.get(connection.client) ?? 0,
    })
    if (discard && !connection.isLost) this.#ledger.condemned.add(connection)
    visit.state = 'gone'
    this.#ledger.holders.delete(connection)
    visit.giveBack(discard)
  }

  #giveBackAgain(visit: SimulatedCaller): void {
    try {
      visit.giveBack()
      this.#ledger.complaints.push('a connection could be given back twice')
    } catch (error) {
      if ((error as { code?: string }).code !== 'HOLDFAST_RELEASED') this.#ledger.complaints.push(`${error}`)
    }
  }

  #query(connection: Connection, sql: string): void {
    const backend = this.rig.server.backend(connection.id)
    backend.failures.set('broken', serverError('42601', 'syntax error'))
    void connection.client.query(sql).catch(() => {})
  }

  #lose(backend: FakeBackend, how: Loss): void {
    const number = this.rig.server.backends.indexOf(backend) + 1
    const connection = [...this.#ledger.opened.keys()].find(({ id }) => id === number)
    // One that isn't in use yet fails as an attempt.
    const isInUse = connection && !connection.is('opening') && !this.#ledger.retired.has(connection)
    const isNews = isInUse && !this.#ledger.condemned.has(connection)
    // What is seen at once, and concerns all: the others must not be leased any more, nor this one.
    if (isNews && (how === '57P01' || how === 'ECONNRESET' || how.startsWith('FATAL'))) {
      if (this.#ledger.options.invalidateOnDisconnect === 'all') this.#ledger.condemnAll()
      this.#ledger.condemned.add(connection)
    }
    if (how === '57P01') backend.terminate()
    else if (how === '57P05') backend.terminate(serverError('57P05', 'idle-session timeout', 'FATAL'))
    else if (how === 'FIN') backend.disappear()
    else if (how === 'ECONNRESET') backend.fail(systemError('ECONNRESET'))
    else backend.send(adminShutdown())
  }

  #welcome(how: Welcome): void {
    const { server } = this.rig
    this.#doesHookThrow = how === 'a hook that throws'
    if (how === 'ECONNREFUSED') server.welcome = systemError(how)
    else if (how === '53300' || how === '28P01') server.welcome = serverError(how, 'not let in', 'FATAL')
    else server.welcome = how === 'hang' ? 'hang' : 'accept'
  }

  async #letIn(which: number): Promise<void> {
    // Who is let in anyway must not be let in twice.
    await this.#settle()
    nth(this.#knocking(), which)?.accept()
  }

  /** Those who wait to be let in. */
  #knocking(): FakeBackend[] {
    const { engine, server } = this.rig
    const outside = engine.inventory.all().filter((each) => each.is('opening') && each.backendPid === null)
    return outside.map(({ id }) => server.backend(id))
  }

  #dispose(close: boolean): void {
    const { engine, clock } = this.rig
    for (const connection of engine.inventory.all())
      if (!close && !connection.is('opening')) this.#ledger.abandoned.add(connection.id)
    const disposal = { since: clock.now(), isOver: false }
    this.#ledger.disposals.push(disposal)
    this.#ledger.condemnAll()
    void engine.dispose(close).then(() => {
      disposal.isOver = true
    })
  }

  #close(): void {
    this.#ledger.closedAt ??= this.rig.clock.now()
    void this.rig.engine.close().then(() => {
      this.#isClosed = true
    })
  }

  async #freeze(): Promise<void> {
    const ledger = this.#ledger
    const { inventory } = this.rig.engine
    const before = ledger.interruptions
    const frozen = inventory.all()
    this.rig.clock.freeze(60_000)
    // Who looks at the clocks within a millisecond isn't told.
    await this.#pass(2)
    // Where there is nothing, nothing can have suffered.
    const canHaveSuffered = inventory.all().some((connection) => frozen.includes(connection))
    if (ledger.closedAt !== undefined || ledger.line.length > 0 || !canHaveSuffered) return
    this.#acquire({ signal: 'none', timeoutMillis: undefined, reset: undefined, whenTold: 'release at once' })
    if (ledger.interruptions === before) ledger.complaints.push('nobody noticed that the process stood still')
  }

  #policy(name: ResetName): ResetPolicy {
    if (!name.startsWith('a function')) return name as ResetPolicy
    return async (client) => {
      this.#ledger.resetCalls.set(client, (this.#ledger.resetCalls.get(client) ?? 0) + 1)
      if (name === 'a function that begins a transaction') await client.query('begin')
      if (name === 'a function that throws') throw new Error('the reset')
      if (name === 'a function that never ends') await new Promise(() => {})
    }
  }

  /** One after the other takes a connection, until nobody can have one more: no slot has been lost. */
  async #acquireAll(): Promise<void> {
    this.#isRecovering = false
    const visits: SimulatedCaller[] = []
    for (let number = 1; number <= this.#ledger.options.max; number++) {
      const visit = this.#acquire({ signal: 'none', timeoutMillis: 0, reset: 'rollback', whenTold: 'hold' })
      visits.push(visit)
      await this.#pass(2 * HEARTBEAT_MILLIS)
      if (!visit.connection)
        this.#ledger.complaints.push(
          `of ${this.#ledger.options.max} slots only ${number - 1} can be had (${visit.error})`,
        )
    }
    for (const visit of visits) if (visit.state === 'holding') this.#giveBack(visit)
    this.#isRecovering = true
  }

  /** A listener may do what it likes. In the middle of somebody else's `acquire` it would be hard to say who came first. */
  #meddle(type: PoolEventType): void {
    if (!this.#meddling) return
    const { of, step } = this.#meddling
    // Somebody is being told just now, or the pool is between two processes.
    if (type === 'acquire-failed' || type === 'process-changed') return
    if (
      (of !== 'anything' && of !== type) ||
      (step.do === 'acquire' && (this.#isServing || type === 'connection-leased'))
    )
      return
    this.#meddling = undefined
    this.#act(step)
  }

  async #settle(): Promise<void> {
    await letItHappen()
    lookAtWaiters(this.#ledger)
  }

  /** Vitest's own way of advancing waits a real millisecond for each timer. */
  async #pass(millis: number): Promise<void> {
    let hasPassed = false
    setTimeout(() => {
      hasPassed = true
    }, millis)
    await letItHappen()
    for (let timers = 0; !hasPassed; timers++) {
      if (timers > 20_000) throw new Error(`The pool sets timers without end while ${millis} ms pass`)
      vi.advanceTimersToNextTimer()
      await letItHappen()
      lookForNeglected(this.#ledger)
    }
    lookAtWaiters(this.#ledger)
    lookAtChores(this.#ledger)
  }
}

function nth<Each>(all: readonly Each[], number: number): Each | undefined {
  return all[number % Math.max(1, all.length)]
}

function finite(millis: number): number {
  return millis === Number.POSITIVE_INFINITY ? 0 : millis
}
