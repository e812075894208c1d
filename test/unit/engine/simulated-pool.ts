import { vi } from 'vitest'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import { HEARTBEAT_MILLIS } from '../../../packages/core/src/engine/maintenance.ts'
import type { ResetPolicy } from '../../../packages/core/src/options/pool-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/resolved-options.ts'
import type { PoolEventType } from '../../../packages/core/src/telemetry/events.ts'
import { adminShutdown, type FakeBackend, serverError, systemError } from '../../support/fake-client.ts'
import { EngineFixture } from './engine-fixture.ts'
import { checkRefusal } from './event-checks.ts'
import { EventRecorder } from './event-recorder.ts'
import type {
  CallerPlan,
  HookName,
  Instant,
  LoginAnswer,
  Loss,
  PrintableOptions,
  ResetName,
  Step,
} from './interleavings.ts'
import { checkMaintenance, checkState, checkUnserved, checkWaiters } from './invariants.ts'
import { SimulatedCaller } from './simulated-caller.ts'

// All effects of a step happen within a few rounds of the event loop.
const ROUNDS = 3
const { setImmediate: setRealImmediate } = globalThis

async function untilSettled(): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await new Promise<void>((resolve) => setRealImmediate(resolve))
}

const RESET_MILLIS = 5000
// If callers have no deadline, each attempt without an answer may take twice as long as the one before.
const LONGEST_ATTEMPT_MILLIS = 3_600_000

/** A pool that goes through a history, step by step. */
export class SimulatedPool implements AsyncDisposable {
  readonly fixture: EngineFixture
  readonly #recorder: EventRecorder
  /** What the next listener does, once. */
  #listenerStep: Extract<Step, { do: 'in a listener' }> | undefined
  #isServing = false
  #doesHookThrow = false
  #isClosed = false
  #isRecovering = false

  constructor(given: PrintableOptions, hook: HookName) {
    const options = { ...given, resetOnReturn: this.#policy(given.resetOnReturn) }
    const onConnect = async (client: { query(sql: string): Promise<unknown> }): Promise<void> => {
      if (this.#doesHookThrow) throw new Error('the hook')
      if (hook === 'a hook that queries') await client.query('set a = b')
      // With 'none' this would retire each connection.
      if (hook === 'a hook that leaves a transaction open' && given.resetOnReturn !== 'none')
        await client.query('begin')
    }
    this.fixture = new EngineFixture(options, { onConnect: onConnect as never })
    this.#recorder = new EventRecorder(this.fixture, resolveOptions(options), given)
    this.fixture.publisher.subscribe((event) => {
      this.#recorder.record(event)
      this.#actInListener(event.type)
    })
  }

  get violations(): readonly string[] {
    return this.#recorder.violations
  }

  async perform(step: Step): Promise<void> {
    if (step.do === 'in a listener') this.#listenerStep = step
    else if (step.do === 'let it happen') await this.#settle()
    else if (step.do === 'pass') await this.#pass(step.millis)
    else if (step.do === 'let in') await this.#letIn(step.which)
    else if (step.do === 'freeze') await this.#freeze()
    else if (step.do === 'wake in another process') this.fixture.pid++
    else this.#act(step)
    checkState(this.#recorder)
  }

  /** The server works again, every caller releases its connection, and every waiter is served. */
  async recover(): Promise<void> {
    const { fixture } = this
    this.#isRecovering = true
    this.#listenerStep = undefined
    this.#doesHookThrow = false
    fixture.server.nextWelcomes.length = 0
    for (const to of ['answering', 'closing'] as const) this.#act({ do: 'change the server', to })
    this.#act({ do: 'welcome', how: 'accept' })
    await this.#settle()
    for (let which = 0; which < fixture.server.backends.length; which++) {
      this.#act({ do: 'answer', which })
    }
    for (const backend of this.#loggingIn()) backend.accept()
    for (const caller of [...this.#recorder.holders.values()]) this.#release(caller)
    await this.#pass(2 * RESET_MILLIS)
    await this.#pass(31_000)
    if (this.#recorder.queue.length > 0)
      this.#recorder.violations.push(`${this.#recorder.queue.length} still wait though the server works`)
    if (this.#recorder.closedAt !== undefined) return
    await this.#acquireAll()
    await this.#pass(3 * HEARTBEAT_MILLIS)
    const { idle, opening, checking } = fixture.engine.inventory.occupancy(fixture.clock.now())
    if (idle + opening + checking < this.#recorder.options.min)
      this.#recorder.violations.push(`${idle} are idle of min ${this.#recorder.options.min}`)
    checkState(this.#recorder)
  }

  /** Ends the pool, whatever state it is in, and checks what is left. */
  async end(): Promise<void> {
    const { engine, clock, server } = this.fixture
    this.#listenerStep = undefined
    this.#act({ do: 'end' })
    const since = this.#recorder.closedAt ?? 0
    await this.#pass(this.#recorder.options.closeTimeoutMillis / 2)
    for (const [index, caller] of [...this.#recorder.holders.values()].entries())
      if (index % 2 === 0) this.#release(caller)
    // If no socket reports that it is closed, each one takes its time on its own.
    await this.#pass(Math.max(0, since + this.#recorder.options.closeTimeoutMillis - clock.now()))
    await this.#settle()
    if (!this.#isClosed)
      this.#recorder.violations.push(`close() takes longer than ${this.#recorder.options.closeTimeoutMillis} ms`)
    checkState(this.#recorder)

    const open = server.backends.flatMap(({ isOpen }, index) =>
      isOpen && !this.#recorder.abandoned.has(index + 1) ? [index + 1] : [],
    )
    if (open.length > 0) this.#recorder.violations.push(`sockets ${open} are still open`)
    for (const caller of this.#recorder.callers)
      if (caller.state === 'waiting') this.#recorder.violations.push('a caller still waits for a closed pool')
    for (const connection of this.#recorder.opened.keys()) {
      if (!this.#recorder.retired.has(connection))
        this.#recorder.violations.push(`connection ${connection.id} was never published as retired`)
      if (!this.#recorder.closed.has(connection))
        this.#recorder.violations.push(`connection ${connection.id} was never published as closed`)
    }
    if (engine.inventory.size !== 0) this.#recorder.violations.push('a closed pool has connections')
    const late = this.#acquire({ signal: 'none', timeoutMillis: undefined, reset: undefined, whenTold: 'hold' })
    if (late.error?.code !== 'HOLDFAST_POOL_CLOSED')
      this.#recorder.violations.push('a closed pool does not refuse a caller')
    const awaited = clock.timers('process')
    if (awaited > 0 && this.#recorder.abandoned.size === 0)
      this.#recorder.violations.push(`${awaited} timers keep the process alive`)
    // A hook that never ends, or that an abandoned connection was in, is not told of the end.
    await this.#pass(LONGEST_ATTEMPT_MILLIS)
    if (vi.getTimerCount() > 0) this.#recorder.violations.push(`${vi.getTimerCount()} timers are left`)
  }

  /** Leaves nothing under way that would reach into the next history. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    for (const backend of this.fixture.server.backends) backend.disappear()
    await untilSettled()
    vi.clearAllTimers()
    if (this.#recorder.violations.length === 0) this.fixture[Symbol.dispose]()
    else this.fixture.clock[Symbol.dispose]()
  }

  #act(instant: Instant): void {
    const { engine, server } = this.fixture
    switch (instant.do) {
      case 'acquire':
        this.#acquire(instant)
        break
      case 'release': {
        const caller = nth([...this.#recorder.holders.values()], instant.who)
        if (!caller) break
        const discard = { plainly: undefined, twice: undefined, true: true, 'an error': new Error('unwell') }[
          instant.how
        ]
        this.#release(caller, discard)
        if (instant.how === 'twice') this.#releaseAgain(caller)
        break
      }
      case 'query': {
        const caller = nth([...this.#recorder.holders.values()], instant.who)
        if (caller?.connection) this.#query(caller.connection, instant.sql)
        break
      }
      case 'end the client': {
        const caller = nth([...this.#recorder.holders.values()], instant.who)
        ;(caller?.connection?.client as { end(done: () => void): void } | undefined)?.end(() => {})
        break
      }
      case 'abort':
        nth(
          this.#recorder.callers.filter(({ controller }) => controller && !controller.signal.aborted),
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
        if (instant.to === 'silent' || instant.to === 'answering') server.silent = instant.to === 'silent'
        else server.hearsGoodbyes = instant.to === 'closing'
        break
      case 'invalidate':
        engine.invalidate(new Error('a failover'))
        break
      case 'dispose':
        this.#dispose(instant.close)
        break
      case 'end':
        this.#close()
        break
    }
  }

  #acquire(plan: CallerPlan): SimulatedCaller {
    const { engine, clock } = this.fixture
    const reset = plan.reset && this.#policy(plan.reset)
    const caller = new SimulatedCaller(
      plan,
      clock.now(),
      plan.timeoutMillis ?? finite(this.#recorder.options.connectionTimeoutMillis),
      reset,
    )
    this.#recorder.callers.push(caller)
    this.#recorder.queue.push(caller)
    const wasServing = this.#isServing
    this.#isServing = true
    engine.acquire({
      options: {
        ...(caller.controller && { signal: caller.controller.signal }),
        ...(plan.timeoutMillis !== undefined && { connectionTimeoutMillis: plan.timeoutMillis }),
        ...(reset && { resetOnReturn: reset }),
      },
      leased: (connection) => this.#leased(caller, connection),
      failed: (error) => this.#failed(caller, error),
    })
    this.#isServing = wasServing
    return caller
  }

  #leased(caller: SimulatedCaller, connection: Connection): void {
    if (caller.state !== 'waiting') this.#recorder.violations.push(`a caller that is ${caller.state} got a connection`)
    if (!this.#recorder.granted.delete(caller))
      this.#recorder.violations.push('a caller got a connection before its turn')
    const { received } = this.fixture.server.backend(connection.id)
    caller.state = 'holding'
    caller.connection = connection
    caller.leasedAt = this.fixture.clock.now()
    caller.receivedBefore = received.length
    const client = connection.clientForLease()
    caller.release = client.release
    this.#recorder.holders.set(connection, caller)
    if (caller.plan.whenTold === 'release at once' || this.#isRecovering) this.#release(caller)
  }

  #failed(caller: SimulatedCaller, error: Error & { code?: string }): void {
    if (caller.state !== 'waiting') this.#recorder.violations.push(`a caller that is ${caller.state} was refused`)
    caller.state = 'gone'
    caller.error = error
    if (this.#recorder.queue.includes(caller)) this.#recorder.queue.splice(this.#recorder.queue.indexOf(caller), 1)
    checkRefusal(this.#recorder, caller, error)
    if (caller.plan.whenTold === 'ask again if refused' && this.#recorder.closedAt === undefined)
      this.#acquire({ ...caller.plan, signal: 'none', whenTold: 'hold' })
  }

  #release(caller: SimulatedCaller, discard?: Error | boolean): void {
    const { connection } = caller
    if (!connection) return
    const { received } = this.fixture.server.backend(connection.id)
    const given = caller.plan.reset ?? this.#recorder.given.resetOnReturn
    this.#recorder.resetFacts.set(connection, {
      policy: given,
      status: connection.inSync ? (connection.transactionStatus ?? 'unknown') : 'unknown',
      hasWorked: received.length > caller.receivedBefore,
      received: received.length,
      resetCalls: this.#recorder.resetCalls.get(connection.client) ?? 0,
    })
    if (discard && !connection.isLost) this.#recorder.invalid.add(connection)
    caller.state = 'gone'
    this.#recorder.holders.delete(connection)
    caller.release(discard)
  }

  #releaseAgain(caller: SimulatedCaller): void {
    try {
      caller.release()
      this.#recorder.violations.push('a connection could be released twice')
    } catch (error) {
      if ((error as { code?: string }).code !== 'HOLDFAST_RELEASED') this.#recorder.violations.push(`${error}`)
    }
  }

  #query(connection: Connection, sql: string): void {
    const backend = this.fixture.server.backend(connection.id)
    backend.failures.set('broken', serverError('42601', 'syntax error'))
    void connection.client.query(sql).catch(() => {})
  }

  #lose(backend: FakeBackend, how: Loss): void {
    const number = this.fixture.server.backends.indexOf(backend) + 1
    const connection = [...this.#recorder.opened.keys()].find(({ id }) => id === number)
    // A connection that is still being opened fails as an attempt.
    const isInUse = connection && !connection.is('opening') && !this.#recorder.retired.has(connection)
    const isNews = isInUse && !this.#recorder.invalid.has(connection)
    // Such a loss is noticed at once: neither this connection nor any older one may be leased as it is any more.
    if (isNews && (how === '57P01' || how === 'ECONNRESET' || how.startsWith('FATAL'))) {
      const { invalidateOnDisconnect, prePing } = this.#recorder.options
      if (invalidateOnDisconnect === 'all' || (invalidateOnDisconnect === 'suspect' && !prePing))
        this.#recorder.invalidateAll()
      else if (invalidateOnDisconnect === 'suspect') this.#recorder.suspectAll(this.fixture.clock.now())
      this.#recorder.invalid.add(connection)
    }
    if (how === '57P01') backend.terminate()
    else if (how === '57P05') backend.terminate(serverError('57P05', 'idle-session timeout', 'FATAL'))
    else if (how === 'FIN') backend.disappear()
    else if (how === 'ECONNRESET') backend.fail(systemError('ECONNRESET'))
    else backend.send(adminShutdown())
  }

  #welcome(how: LoginAnswer): void {
    const { server } = this.fixture
    this.#doesHookThrow = how === 'a hook that throws'
    if (how === 'ECONNREFUSED') server.welcome = systemError(how)
    else if (how === '53300' || how === '28P01') server.welcome = serverError(how, 'not let in', 'FATAL')
    else server.welcome = how === 'hang' ? 'hang' : 'accept'
  }

  async #letIn(which: number): Promise<void> {
    // Those that are accepted anyway must not be accepted twice.
    await this.#settle()
    nth(this.#loggingIn(), which)?.accept()
  }

  /** The sessions whose login was not answered so far. */
  #loggingIn(): FakeBackend[] {
    const { engine, server } = this.fixture
    const outside = engine.inventory.all().filter((each) => each.is('opening') && each.backendPid === null)
    return outside.map(({ id }) => server.backend(id))
  }

  #dispose(close: boolean): void {
    const { engine, clock } = this.fixture
    for (const connection of engine.inventory.all())
      if (!close && !connection.is('opening')) this.#recorder.abandoned.add(connection.id)
    const disposal = { since: clock.now(), isOver: false }
    this.#recorder.disposals.push(disposal)
    this.#recorder.invalidateAll()
    void engine.dispose(close).then(() => {
      disposal.isOver = true
    })
  }

  #close(): void {
    this.#recorder.closedAt ??= this.fixture.clock.now()
    void this.fixture.engine.close().then(() => {
      this.#isClosed = true
    })
  }

  async #freeze(): Promise<void> {
    const recorder = this.#recorder
    const { inventory } = this.fixture.engine
    const before = recorder.interruptions
    const frozen = inventory.all()
    this.fixture.clock.freeze(60_000)
    // The process guard reads the clocks at most once per millisecond.
    await this.#pass(2)
    // A suspension is not published if it can have harmed no connection.
    const canHaveSuffered = inventory.all().some((connection) => frozen.includes(connection))
    if (recorder.closedAt !== undefined || recorder.queue.length > 0 || !canHaveSuffered) return
    this.#acquire({ signal: 'none', timeoutMillis: undefined, reset: undefined, whenTold: 'release at once' })
    if (recorder.interruptions === before)
      recorder.violations.push('the pool did not notice that the process was suspended')
  }

  #policy(name: ResetName): ResetPolicy {
    if (!name.startsWith('a function')) return name as ResetPolicy
    return async (client) => {
      this.#recorder.resetCalls.set(client, (this.#recorder.resetCalls.get(client) ?? 0) + 1)
      if (name === 'a function that begins a transaction') await client.query('begin')
      if (name === 'a function that throws') throw new Error('the reset')
      if (name === 'a function that never ends') await new Promise(() => {})
    }
  }

  /** Acquires max connections, one after the other: no slot has been lost. */
  async #acquireAll(): Promise<void> {
    this.#isRecovering = false
    const callers: SimulatedCaller[] = []
    for (let number = 1; number <= this.#recorder.options.max; number++) {
      const caller = this.#acquire({ signal: 'none', timeoutMillis: 0, reset: 'rollback', whenTold: 'hold' })
      callers.push(caller)
      await this.#pass(2 * HEARTBEAT_MILLIS)
      if (!caller.connection)
        this.#recorder.violations.push(
          `only ${number - 1} of ${this.#recorder.options.max} slots can be acquired (${caller.error})`,
        )
    }
    for (const caller of callers) if (caller.state === 'holding') this.#release(caller)
    this.#isRecovering = true
  }

  /** Acts inside a listener; but doesn't acquire inside another `acquire`, where the order of arrival would be unclear. */
  #actInListener(type: PoolEventType): void {
    if (!this.#listenerStep) return
    const { of, step } = this.#listenerStep
    // A caller is being told just now, or the pool is between two processes.
    if (type === 'acquire-failed' || type === 'process-changed') return
    if (
      (of !== 'anything' && of !== type) ||
      (step.do === 'acquire' && (this.#isServing || type === 'connection-leased'))
    )
      return
    this.#listenerStep = undefined
    this.#act(step)
  }

  async #settle(): Promise<void> {
    await untilSettled()
    checkWaiters(this.#recorder)
  }

  /** Vitest's own way of advancing waits a real millisecond for each timer. */
  async #pass(millis: number): Promise<void> {
    let hasPassed = false
    setTimeout(() => {
      hasPassed = true
    }, millis)
    await untilSettled()
    for (let timers = 0; !hasPassed; timers++) {
      if (timers > 20_000) throw new Error(`The pool sets timers without end while ${millis} ms pass`)
      vi.advanceTimersToNextTimer()
      await untilSettled()
      checkUnserved(this.#recorder)
    }
    checkWaiters(this.#recorder)
    checkMaintenance(this.#recorder)
  }
}

function nth<Each>(all: readonly Each[], number: number): Each | undefined {
  return all[number % Math.max(1, all.length)]
}

function finite(millis: number): number {
  return millis === Number.POSITIVE_INFINITY ? 0 : millis
}
