import { type EventEmitter, getEventListeners } from 'node:events'
import { setTimeout as sleep, setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { getHeapSpaceStatistics } from 'node:v8'
import type { Logger } from '@holdfast/core'
import type { Sample } from './messages.ts'
import type { Pools } from './pools.ts'

const GARBAGE_ROUNDS = 6
const LOOK_AGAIN_MILLIS = 25

/** Takes the measure of the process it is in. */
export class Sampler {
  readonly #shutdown: AbortSignal
  #pools: Pools | undefined
  #operations = 0
  #opened = 0
  #warnings = 0

  constructor(shutdown: AbortSignal) {
    this.#shutdown = shutdown
  }

  /** For the pools: what they warn of is counted and not kept. */
  readonly logger: Logger = {
    debug: () => {},
    info: () => {},
    warn: () => this.#warnings++,
    error: () => this.#warnings++,
  }

  /** From now on these are measured. */
  watch(pools: Pools): void {
    this.#pools = pools
    for (const pool of this.#both()) pool.on('connect', () => this.#opened++)
  }

  /** An operation has ended. */
  operationEnded(): void {
    this.#operations++
  }

  sample(): Sample {
    const { heapUsed, external, rss } = process.memoryUsage()
    return {
      objects: bytesOfObjects(),
      heapUsed,
      external,
      rss,
      resources: countByKind(process.getActiveResourcesInfo()),
      listeners: [...this.#both(), process].reduce((sum, emitter) => sum + listenersOf(emitter), 0),
      signalListeners: getEventListeners(this.#shutdown, 'abort').length,
      connections: this.#both().reduce((sum, pool) => sum + pool.totalCount, 0),
      operations: this.#operations,
      opened: this.#opened,
      warnings: this.#warnings,
    }
  }

  /**
   * Closes every connection, waits for the last timers, collects the garbage, and measures what is left. What is
   * there now is leaked.
   */
  async measure(withinMillis: number): Promise<Sample> {
    await Promise.all(this.#both().map((pool) => pool.dispose()))
    const deadline = performance.now() + withinMillis
    while (!this.#isAtRest() && performance.now() < deadline)
      // One more timer in the count would be our own.
      await sleep(LOOK_AGAIN_MILLIS, undefined, { ref: false })
    await collectGarbage()
    return this.sample()
  }

  #isAtRest(): boolean {
    const { resources, connections } = this.sample()
    return connections === 0 && !resources.Timeout && !resources.TCPSocketWrap
  }

  #both(): readonly [Pools['pool'], Pools['nullPool']] | readonly [] {
    return this.#pools ? [this.#pools.pool, this.#pools.nullPool] : []
  }
}

async function collectGarbage(): Promise<void> {
  for (let round = 0; round < GARBAGE_ROUNDS; round++) {
    // Lets promises settle, and finalizers run.
    await turnOfTheLoop()
    await globalThis.gc?.({ type: 'major', execution: 'async' })
  }
}

const WITHOUT_OBJECTS = /read_only|code|trusted/

function bytesOfObjects(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name }) => !WITHOUT_OBJECTS.test(space_name))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0)
}

function countByKind(kinds: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

function listenersOf(emitter: EventEmitter): number {
  return emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0)
}
