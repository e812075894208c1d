import type { DriverSession } from '../driver/session.ts'
import { markPrimaryLost } from '../policy/classify-error.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import type { StatementKind } from '../sql/statement.ts'
import { type AskedConnection, ask } from './question.ts'
import { ROLE_QUESTION, type ServerRole, unwritableBy } from './server-role.ts'

/** In the text that was refused: it has forbidden the write itself. */
const SAYS_READ_ONLY = /\bread\s+only\b/i

/** The connection, as the check of its role sees it. */
export interface RoleOwner extends AskedConnection {
  readonly session: DriverSession
  readonly serverRole: ServerRole
  readonly isLost: boolean
}

/** The settings of a connection that concern its role. */
export interface RoleCheckSettings {
  readonly clock: Clock
  readonly pipelined: boolean
}

/**
 * Finds out what a refused write (25006) means, by asking the session itself, once: has the application forbidden it, or does
 * the server take no writes at all? Then the connection leads to no primary, and the write may run again on another one.
 */
export class RoleCheck {
  readonly #connection: RoleOwner
  readonly #settings: RoleCheckSettings
  /** The write that was refused in a transaction, whose end must come before the question. */
  #refused: Error | undefined

  constructor(connection: RoleOwner, settings: RoleCheckSettings) {
    this.#connection = connection
    this.#settings = settings
  }

  /** A statement has failed, or a transaction has ended. Returns what its caller has to wait for; undefined for nothing. */
  after(error: Error | null, kind: StatementKind, text: string | undefined): Promise<void> | undefined {
    const connection = this.#connection
    // In a pipeline other statements have been sent behind it.
    if (connection.isLost || this.#settings.pipelined) return undefined
    // The status is that of the last answer, so a text that has begun a transaction itself counts by its kind.
    const isOutside = connection.session.transactionStatus === 'I' && !(error && kind === 'begin')
    if (error) {
      if (!connection.serverRole.isInDoubt(error) || (text !== undefined && SAYS_READ_ONLY.test(text))) return undefined
      if (isOutside) return this.#ask(error)
      this.#refused = error
      return undefined
    }
    const refused = this.#refused
    if (!refused || !isOutside) return undefined
    this.#refused = undefined
    return this.#ask(refused, true)
  }

  async #ask(refused: Error, isRolledBack = false): Promise<void> {
    const connection = this.#connection
    try {
      const [row] = await ask(connection, ROLE_QUESTION, this.#settings.clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
      if (!unwritableBy(row) || connection.isLost) return
      // Of a statement, the loss says that it did nothing. A transaction is over, and its connection goes with its lease.
      connection.serverRole.missPrimary(refused)
      if (isRolledBack) markPrimaryLost(refused)
      else connection.markLost(refused)
    } catch {
      // Then it stays an error like any other.
    }
  }
}
