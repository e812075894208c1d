import { connectCauseOf, useIn } from '../errors.ts'
import type { Logger, StructuredLogger } from '../options/pool-options.ts'
import type { SessionNeed } from '../policy/pooler.ts'
import { mayConnectAgain } from '../policy/retry.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Listener, PoolEvent, PoolEventType } from './events.ts'
import { lineWriter, type WriteLine } from './log-line.ts'
import { millis, prefixOf, reasonOf, withBackend } from './log-text.ts'

/** What the warnings need. */
export interface WarningsParts {
  readonly name: string
  readonly clock: Pick<Clock, 'now'>
  /** Without one, warnings go where Node's own go. */
  readonly logger: Logger | StructuredLogger | undefined
  /** The option. If it is false, the first failure rejects the callers anyway. */
  readonly connectRetry: object | false
  readonly connectionTimeoutMillis: number
}

type EventOf<Type extends PoolEventType> = Extract<PoolEvent, { type: Type }>

// A server at its limit accepts and refuses connections in turn, many times a second.
const QUIET_MILLIS = 60_000

/** Warns of what the user must know even without an echo, and what no error shows. */
export function warnings(parts: WarningsParts): Listener {
  const warnings = new Warnings(parts)
  return { subscriber: (event) => warnings.take(event), wants: (type) => warnings.wants(type) }
}

const RARE: ReadonlySet<PoolEventType> = new Set<PoolEventType>([
  'connection-leak-suspected',
  'capacity-exceeded',
  'budget-unanswered',
  'connect-failed',
  'connection-opened',
  'transaction-left-open',
  'prepare-stopped',
  'standby-refused-write',
  'former-primary',
  'pooler-found',
  'session-needed',
])

/** What can't work, and what to do instead. */
const NEEDS: Record<SessionNeed, string> = {
  listen: 'LISTEN hears nothing there. Listen over a connection that leads straight to the server',
  lock: 'an advisory lock of the session stays with that session, which others use, too. Use pg_advisory_xact_lock, in a transaction',
  reset: "resetOnReturn: 'session' or 'discard' cleans another session than was used. Leave it at 'rollback'",
}

class Warnings {
  readonly #parts: WarningsParts
  /** How many leases have been reported as overdue and are not released. */
  #overdue = 0
  #hasConnected = false
  #hasWarnedOfOutage = false
  #hasWarnedOfBegin = false
  #hasWarnedOfPooler = false
  readonly #formerPrimaries = new Set<string>()
  #quietUntil = Number.NEGATIVE_INFINITY
  readonly #write: WriteLine | undefined
  /** What it warns of. */
  #event: PoolEvent | undefined

  constructor(parts: WarningsParts) {
    this.#parts = parts
    this.#write = parts.logger && lineWriter(parts.logger, parts.name)
  }

  /** Releases are frequent, so they are wanted only while one is overdue. */
  wants(type: PoolEventType): boolean | (() => boolean) {
    return type === 'connection-released' ? () => this.#overdue > 0 : RARE.has(type)
  }

  take(event: PoolEvent): void {
    this.#event = event
    if (event.type === 'connection-leak-suspected') this.#warnOfOverdue(event)
    else if (event.type === 'connection-released' && event.wasOverdue) this.#warnOfLateRelease(event)
    else if (event.type === 'capacity-exceeded') this.#warnOfCapacity(event)
    else if (event.type === 'budget-unanswered') this.#warnOfBudget(event)
    else if (event.type === 'connect-failed') this.#takeFailure(event)
    else if (event.type === 'connection-opened') this.#takeSuccess()
    else if (event.type === 'transaction-left-open') this.#warnOfLeftOpen()
    else if (event.type === 'standby-refused-write') this.#warnOfStandby(event)
    else if (event.type === 'former-primary') this.#warnOfFormer(event)
    else if (event.type === 'pooler-found') this.#takePooler(event)
    else if (event.type === 'session-needed') this.#warnOfNeed(event)
    else if (event.type === 'prepare-stopped' && event.text === undefined) this.#warnOfLostNames()
  }

  #warnOfOverdue(event: EventOf<'connection-leak-suspected'>): void {
    const { connection, heldMillis, stack } = event
    this.#overdue++
    const text = `Connection leak detection triggered for ${withBackend(connection)}: not released for ${millis(heldMillis)}${useIn(event)}`
    if (stack) this.#warn('HOLDFAST_LEASE_OVERDUE', `${text}. It was acquired here:`, framesOf(stack))
    else this.#warn('HOLDFAST_LEASE_OVERDUE', text)
  }

  #warnOfLateRelease({ connection, heldMillis }: EventOf<'connection-released'>): void {
    this.#overdue--
    const which = `Previously reported leaked ${withBackend(connection)}`
    this.#warn('HOLDFAST_LATE_RELEASE', `${which} was released after ${millis(heldMillis)}: slow, but no leak`)
  }

  #warnOfCapacity({ max, workers, available }: EventOf<'capacity-exceeded'>): void {
    const demand = `${workers} ${workers === 1 ? 'process' : 'processes'} with max: ${max} can want ${workers * max} connections`
    const share = Math.floor(available / workers)
    const remedy = share > 0 ? `Lower max to ${share}` : 'Run fewer processes'
    this.#warn(
      'HOLDFAST_CAPACITY_EXCEEDED',
      `${demand}, but the server grants ${available}. ${remedy}, or raise max_connections, or the connection limit of the role or the database`,
    )
  }

  #warnOfBudget({ budget, error, openCount }: EventOf<'budget-unanswered'>): void {
    const kept = openCount > 0 ? `; the pool keeps its connections (${openCount}), and opens none until it is` : ''
    this.#warn('HOLDFAST_BUDGET', `The server can't be asked about the budget '${budget}'${kept}: ${reasonOf(error)}`)
  }

  /** Warns once: code that does it does it each time. */
  #warnOfLeftOpen(): void {
    if (this.#hasWarnedOfBegin) return
    this.#hasWarnedOfBegin = true
    this.#warn(
      'HOLDFAST_TRANSACTION_LEFT_OPEN',
      'A statement of pool.query() has begun a transaction, and nothing else will be in it: each statement of pool.query() ' +
        'gets a connection of its own. A transaction needs pool.transaction(fn), or a client of pool.connect()',
    )
  }

  #warnOfStandby({ host }: EventOf<'standby-refused-write'>): void {
    this.#warn(
      'HOLDFAST_STANDBY',
      `${host.host}:${host.port} is a standby, and has refused a write: with several hosts, the first that answers is taken. ` +
        "Set targetSessionAttrs: 'read-write'",
    )
  }

  /** Each attempt to connect may find it. */
  #warnOfFormer({ host, timeline, highest }: EventOf<'former-primary'>): void {
    const where = `${host.host}:${host.port}`
    if (this.#formerPrimaries.has(where)) return
    this.#formerPrimaries.add(where)
    this.#warn(
      'HOLDFAST_FORMER_PRIMARY',
      `${where} takes writes on timeline ${timeline}, although a host on timeline ${highest} was promoted in its place. This pool ` +
        "doesn't use it; what other programs write there will be lost. Stop it, and set it up as a standby (pg_rewind)",
    )
  }

  /** Only if the user was sure that there is none. */
  #takePooler({ option, by }: EventOf<'pooler-found'>): void {
    if (option !== 'none' || this.#hasWarnedOfPooler) return
    this.#hasWarnedOfPooler = true
    const sign = by === 'words' ? 'a pooler has answered' : 'another process serves a session than its login has named'
    this.#warn(
      'HOLDFAST_POOLER',
      `There is a pooler in front of the server: ${sign}. Set pooler: 'session' or 'transaction'`,
    )
  }

  #warnOfNeed({ need }: EventOf<'session-needed'>): void {
    this.#warn(
      'HOLDFAST_SESSION_NEEDED',
      `The pooler gives each transaction another session of the server, and ${NEEDS[need]}`,
    )
  }

  #warnOfLostNames(): void {
    this.#warn(
      'HOLDFAST_PREPARE_STOPPED',
      'Statements are no longer prepared: the server keeps losing them, as behind a connection pooler, or where code drops ' +
        'them. Set prepare: false',
    )
  }

  #takeSuccess(): void {
    this.#hasConnected = true
    this.#hasWarnedOfOutage = false
  }

  /** One line for an outage. Waiting callers get an error only at their deadline, and a wrong port should show earlier. */
  #takeFailure({ error, openCount }: EventOf<'connect-failed'>): void {
    const { clock, connectRetry, connectionTimeoutMillis } = this.#parts
    if (this.#hasWarnedOfOutage || connectRetry === false) return
    // The callers are rejected at once, unless other connections serve them.
    if (!openCount && !mayConnectAgain(connectCauseOf(error), this.#hasConnected)) return
    const now = clock.now()
    if (now < this.#quietUntil) return
    this.#hasWarnedOfOutage = true
    this.#quietUntil = now + QUIET_MILLIS
    const patience = Number.isFinite(connectionTimeoutMillis)
      ? `for up to ${millis(connectionTimeoutMillis)} (connectionTimeoutMillis)`
      : 'for as long as it takes (connectionTimeoutMillis: 0)'
    this.#warn('HOLDFAST_CONNECT_FAILED', `Cannot connect, trying again; callers wait ${patience}: ${reasonOf(error)}`)
  }

  #warn(code: string, text: string, detail?: string): void {
    const message = prefixOf(this.#parts.name) + text
    if (this.#write) this.#write('warn', { text, code, detail }, this.#event as PoolEvent)
    else process.emitWarning(message, { type: 'HoldfastWarning', code, ...(detail && { detail }) })
  }
}

/** The frames of a stack, without the name of its error, since nothing was thrown. */
function framesOf(stack: string): string {
  return stack.replace(/^\S.*\n/, '')
}
