import type { Engine } from './engine/engine.ts'
import { timeoutError } from './engine/timeout-error.ts'
import { PingTimeoutError, PoolTimeoutError } from './errors.ts'
import { type PingOptions, type ReadyOptions, resolveHealthMillis } from './options/call-options.ts'
import { QueryWaiter, type ResultCallback } from './pool-callers.ts'
import { afterPatience, pause } from './runtime/clock.ts'
import { failure } from './runtime/stack.ts'
import { isInstance } from './thrown.ts'

/** A plain read, so that it runs again if its connection is lost. */
const QUESTION = 'select 1'

const FIRST_PAUSE_MILLIS = 100
const LONGEST_PAUSE_MILLIS = 1000

type EngineOf = (pool: never) => Engine

/** The methods in `HealthChecks`, for the prototype of `Pool`. */
export function healthOn(engineOf: EngineOf): PropertyDescriptorMap {
  return { ping: method(engineOf, ping), ready: method(engineOf, ready) }
}

/** The counts of pg.Pool. Defined there, because pg's types declare them as properties. */
export function countsOn(engineOf: EngineOf): PropertyDescriptorMap {
  return {
    totalCount: count(engineOf, ({ inventory }) => inventory.size),
    idleCount: count(engineOf, ({ inventory }) => inventory.idleCount),
    waitingCount: count(engineOf, ({ waitingCount }) => waitingCount),
    expiredCount: count(engineOf, ({ inventory, clock }) => inventory.expiredCount(clock.now())),
  }
}

function method(engineOf: EngineOf, run: (engine: Engine, options: never) => Promise<void>): PropertyDescriptor {
  return {
    configurable: true,
    writable: true,
    value(this: never, options: never) {
      return run(engineOf(this), options)
    },
  }
}

function count(engineOf: EngineOf, read: (engine: Engine) => number): PropertyDescriptor {
  return {
    configurable: true,
    get(this: never) {
      return read(engineOf(this))
    },
  }
}

/** See `HealthChecks`. */
export async function ping(engine: Engine, options: PingOptions | undefined): Promise<void> {
  const timeoutMillis = resolveHealthMillis('ping', options)
  await ask(engine, timeoutMillis, () => new PingTimeoutError(timeoutMillis, engine.lastConnectFailure))
}

/** See `HealthChecks`. */
export async function ready(engine: Engine, options: ReadyOptions | undefined): Promise<void> {
  const { clock } = engine
  const timeoutMillis = resolveHealthMillis('ready', options)
  const startedAt = clock.now()
  const left = (): number => startedAt + timeoutMillis - clock.now()
  const late = (): Error => timeoutError(engine, clock.now() - startedAt, othersThatWait(engine), clock.now())
  for (let millis = FIRST_PAUSE_MILLIS; ; millis = Math.min(2 * millis, LONGEST_PAUSE_MILLIS)) {
    try {
      return await ask(engine, Math.max(left(), 1), late)
    } catch (error) {
      if (engine.isShuttingDown || isInstance(error, PoolTimeoutError) || left() <= millis) throw error
    }
    await pause(clock, millis, 'process')
  }
}

/**
 * Sends a statement when it is its turn. When the time is up, it is enough that the server has answered others meanwhile. Then, and
 * when it rejects with what `late` returns, the statement leaves the queue, or is cancelled at the server.
 */
function ask(engine: Engine, timeoutMillis: number, late: () => Error): Promise<void> {
  const { clock } = engine
  const startedAt = clock.now()
  const controller = new AbortController()
  const { signal } = controller
  return new Promise((resolve) => {
    let isBusy = false
    const cancel = afterPatience(clock, timeoutMillis, 'process', () => {
      isBusy = hasAnswered(engine, startedAt)
      controller.abort(late())
    })
    const done: ResultCallback = (error) => {
      cancel()
      resolve(error && !isBusy ? failure(error) : undefined)
    }
    const query = { text: QUESTION, signal }
    const options = { signal, connectionTimeoutMillis: 0 }
    engine.acquire(new QueryWaiter(query, undefined, done, true, engine, options, undefined))
  })
}

/** Whether the server has answered anything since then. */
function hasAnswered({ inventory }: Engine, since: number): boolean {
  return inventory.all().some(({ liveness }) => liveness.answeredAt > since)
}

function othersThatWait({ waitingCount }: Engine): number {
  return Math.max(0, waitingCount - 1)
}
