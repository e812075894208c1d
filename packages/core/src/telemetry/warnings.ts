import { ConnectError } from '../errors.ts'
import type { Logger } from '../options/logger.ts'
import { mayConnectAgain } from '../policy/classify-error.ts'
import type { Clock } from '../runtime/clock.ts'
import { isInstance } from '../thrown.ts'
import type { PoolEvent, PoolEventType } from './events.ts'
import type { Listener } from './listener.ts'
import { millis, prefixOf, reasonOf, withBackend } from './wording.ts'

/** What the warnings need. */
export interface WarningsParts {
  readonly name: string
  readonly clock: Pick<Clock, 'now'>
  /** Without one, warnings go where Node's own go. */
  readonly logger: Logger | undefined
  /** The option; false if callers are told of the first failure anyway. */
  readonly connectRetry: object | false
  readonly connectionTimeoutMillis: number
}

type EventOf<Type extends PoolEventType> = Extract<PoolEvent, { type: Type }>

// A server at its limit refuses and accepts in turn, many times a second.
const QUIET_MILLIS = 60_000

/** Tells what somebody must hear even if he never asked for an echo, and no error of his own tells. */
export function warnings(parts: WarningsParts): Listener {
  const warnings = new Warnings(parts)
  return { subscriber: (event) => warnings.hear(event), hears: (type) => warnings.hears(type) }
}

const RARE: ReadonlySet<PoolEventType> = new Set<PoolEventType>([
  'connection-leak-suspected',
  'capacity-exceeded',
  'connect-failed',
  'connection-opened',
  'transaction-left-open',
])

class Warnings {
  readonly #parts: WarningsParts
  /** How many leases were told to be overdue, and have not come back. */
  #overdue = 0
  #hasConnected = false
  #hasToldOfRow = false
  #hasToldOfBegin = false
  #quietUntil = Number.NEGATIVE_INFINITY

  constructor(parts: WarningsParts) {
    this.#parts = parts
  }

  /** Releases are many: they are heard of only while one is awaited. */
  hears(type: PoolEventType): boolean | (() => boolean) {
    return type === 'connection-released' ? () => this.#overdue > 0 : RARE.has(type)
  }

  hear(event: PoolEvent): void {
    if (event.type === 'connection-leak-suspected') this.#tellOverdue(event)
    else if (event.type === 'connection-released' && event.wasOverdue) this.#tellLateRelease(event)
    else if (event.type === 'capacity-exceeded') this.#tellCapacity(event)
    else if (event.type === 'connect-failed') this.#hearFailure(event)
    else if (event.type === 'connection-opened') this.#hearSuccess()
    else if (event.type === 'transaction-left-open') this.#tellLeftOpen()
  }

  #tellOverdue({ connection, heldMillis, stack }: EventOf<'connection-leak-suspected'>): void {
    this.#overdue++
    const text = `Connection leak detection triggered for ${withBackend(connection)}: not released for ${millis(heldMillis)}`
    if (stack) this.#warn('HOLDFAST_LEASE_OVERDUE', `${text}. It was acquired here:`, framesOf(stack))
    else this.#warn('HOLDFAST_LEASE_OVERDUE', text)
  }

  #tellLateRelease({ connection, heldMillis }: EventOf<'connection-released'>): void {
    this.#overdue--
    const which = `Previously reported leaked ${withBackend(connection)}`
    this.#warn('HOLDFAST_LATE_RELEASE', `${which} was released after ${millis(heldMillis)}: slow, but no leak`)
  }

  #tellCapacity({ max, workers, available }: EventOf<'capacity-exceeded'>): void {
    const demand = `${workers} ${workers === 1 ? 'process' : 'processes'} with max: ${max} can want ${workers * max} connections`
    const share = Math.floor(available / workers)
    const remedy = share > 0 ? `Lower max to ${share}` : 'Run fewer processes'
    this.#warn(
      'HOLDFAST_CAPACITY_EXCEEDED',
      `${demand}, but the server grants ${available}. ${remedy}, or raise max_connections, or the connection limit of the role or the database`,
    )
  }

  /** Once: whoever writes it so does it each time. */
  #tellLeftOpen(): void {
    if (this.#hasToldOfBegin) return
    this.#hasToldOfBegin = true
    this.#warn(
      'HOLDFAST_TRANSACTION_LEFT_OPEN',
      'A statement of pool.query() has begun a transaction, and nothing else will be in it: each statement of pool.query() ' +
        'gets a connection of its own. A transaction needs pool.transaction(fn), or a client of pool.connect()',
    )
  }

  #hearSuccess(): void {
    this.#hasConnected = true
    this.#hasToldOfRow = false
  }

  /** One line for an outage: whoever waits is told at his deadline, but nobody should wait for that to see a wrong port. */
  #hearFailure({ error }: EventOf<'connect-failed'>): void {
    const { clock, connectRetry, connectionTimeoutMillis } = this.#parts
    if (this.#hasToldOfRow || connectRetry === false) return
    const cause = isInstance(error, ConnectError) ? error.cause : error
    if (!mayConnectAgain(cause, this.#hasConnected)) return // Callers are told at once.
    const now = clock.now()
    if (now < this.#quietUntil) return
    this.#hasToldOfRow = true
    this.#quietUntil = now + QUIET_MILLIS
    const patience = Number.isFinite(connectionTimeoutMillis)
      ? `for up to ${millis(connectionTimeoutMillis)} (connectionTimeoutMillis)`
      : 'for as long as it takes (connectionTimeoutMillis: 0)'
    this.#warn('HOLDFAST_CONNECT_FAILED', `Cannot connect, trying again; callers wait ${patience}: ${reasonOf(error)}`)
  }

  #warn(code: string, text: string, detail?: string): void {
    const { logger, name } = this.#parts
    const message = prefixOf(name) + text
    if (logger) logger.warn(`${prefixOf(name)}${code}: ${detail ? `${text}\n${detail}` : text}`)
    else process.emitWarning(message, { type: 'HoldfastWarning', code, ...(detail && { detail }) })
  }
}

/** Of a stack, what isn't the name of an error that nobody threw. */
function framesOf(stack: string): string {
  return stack.replace(/^\S.*\n/, '')
}
