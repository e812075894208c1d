import type { Connection } from '../connection/connection.ts'
import { ask } from '../connection/question.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import { lagBeyond, walPositionIn } from '../policy/wal-position.ts'
import type { Clock } from '../runtime/clock.ts'

/** How long the position of the primary is believed, and how often replicas are looked at, in milliseconds. */
export const LOOK_MILLIS = 1000

/** Asks a server whether it is a replica, and what it has replayed. */
export const REPLICA_QUESTION =
  'select pg_catalog.pg_is_in_recovery()::text as in_recovery, pg_catalog.pg_last_wal_replay_lsn()::text as replayed'

/** Asks the primary how far it has written. A standby answers with null. */
export const PRIMARY_QUESTION =
  'select case when not pg_catalog.pg_is_in_recovery() then pg_catalog.pg_current_wal_lsn()::text end as written'

/** What measuring the lag of replicas takes. */
export interface LagParts {
  readonly clock: Clock
  readonly maxLagBytes: number
  /** Asks the primary {@link PRIMARY_QUESTION}. */
  readonly askPrimary: () => Promise<unknown>
}

/**
 * How far replicas are behind the primary. A replica itself can't tell: what it has received ends where its link to the primary
 * has broken. So the primary is asked, once a second at most; while it can't be, its last known position counts.
 */
export class Lag {
  readonly #parts: LagParts
  #written: bigint | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined

  constructor(parts: LagParts) {
    this.#parts = parts
  }

  /** Why a server that has answered this to {@link REPLICA_QUESTION} lags too far behind; undefined if it doesn't. */
  async judge(answer: Readonly<Record<string, unknown>> | undefined): Promise<Error | undefined> {
    const { clock, maxLagBytes } = this.#parts
    if (clock.now() - this.#askedAt >= LOOK_MILLIS) await this.#askOnce()
    if (this.#written === undefined) return undefined
    return lagBeyond(maxLagBytes, this.#written, walPositionIn(answer?.replayed))
  }

  /** The same for a new connection. */
  async of(connection: Connection): Promise<Error | undefined> {
    const [row] = await ask(connection, REPLICA_QUESTION, this.#parts.clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
    return await this.judge(row)
  }

  #askOnce(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(): Promise<void> {
    const { clock, askPrimary } = this.#parts
    const answer = await askPrimary().catch(() => undefined)
    this.#written = walPositionIn(answer) ?? this.#written
    this.#askedAt = clock.now()
  }
}
