import { isReachable, requestCancel, type SocketSource } from '../driver/cancel-request.ts'
import { internalsOf } from '../driver/internals.ts'
import type { Pipeline } from '../driver/pipeline.ts'
import { RESET_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { afterPatience } from '../runtime/deadline.ts'
import type { InFlight, Statement } from './in-flight.ts'
import type { Liveness } from './liveness.ts'
import type { LeasedClient } from './physical-client.ts'

/** What giving up statements takes. */
export interface CancellationParts {
  readonly client: LeasedClient
  readonly gate: Pipeline
  readonly clock: Clock
  readonly stream: SocketSource
  readonly pipelined: boolean
  readonly statements: InFlight
  readonly signs: Liveness
  /** It was never sent. */
  readonly end: (statement: Statement, reason: Error) => void
  /** The server doesn't answer. */
  readonly lose: (cause: Error) => void
}

/** Gives up statements whose callers have: takes back what hasn't been sent, has the server cancel what it works on. */
export class Cancellation {
  /** Told when a request is over. */
  onOver: (() => void) | undefined = undefined
  readonly #parts: CancellationParts
  #underWay = 0

  constructor(parts: CancellationParts) {
    this.#parts = parts
  }

  /** Whether a request might yet hit what is sent now. */
  get isUnderWay(): boolean {
    return this.#underWay > 0
  }

  abort(statement: Statement, reason: Error): void {
    const { client, statements, pipelined, end } = this.#parts
    statement.isGivenUp = true
    const { _queryQueue: queue } = internalsOf(client)
    const place = statement.queued === undefined ? -1 : queue.indexOf(statement.queued)
    if (place !== -1) {
      queue.splice(place, 1)
      end(statement, reason)
    }
    // In a pipeline the server may be at work on somebody else's.
    else if (statement.sent && statements.has(statement) && !pipelined) inNoContext(() => void this.#cancel(statement))
  }

  /**
   * Has the server cancel a statement whose caller has given up. Until the request is over, nothing else is sent and
   * nobody else gets the connection, which must answer a ping first, if any do: a late request cancels whatever runs then.
   */
  async #cancel(statement: Statement): Promise<void> {
    const { client, gate, clock, stream, statements, signs, lose } = this.#parts
    if (!isReachable(stream)) return lose(new Error('Given up: a `stream` object leaves no way to cancel'))
    const cancelPatience = afterPatience(clock, RESET_TIMEOUT_MILLIS, 'nothing', () => {
      if (statements.has(statement)) lose(new Error('No answer to a cancel request'))
    })
    this.#underWay++
    const resume = gate.hold()
    signs.markSuspect()
    await requestCancel(client, { clock, stream, timeoutMillis: RESET_TIMEOUT_MILLIS })
    this.#underWay--
    resume()
    this.onOver?.()
    if (!statements.has(statement)) cancelPatience()
  }
}
