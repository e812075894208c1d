import { codeOf, isInstance, messageOf } from '../thrown.ts'
import { HoldfastError, pinName } from './holdfast-error.ts'

/** Where a connection leads to. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly database: string | undefined
  /** What to check, if no option and no variable says where the server is. */
  readonly hint?: string
}

/**
 * A connection could not be opened, and trying again would not help (or was not allowed). `code` is that of `cause`
 * (a SQLSTATE or an errno), else 08001.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export class ConnectError extends HoldfastError {
  readonly endpoint: Endpoint

  constructor(endpoint: Endpoint, cause: unknown) {
    const { host, port, database, hint } = endpoint
    const where = `${host}:${port}${database === undefined ? '' : `, database ${database}`}${hint ? `; ${hint}` : ''}`
    super(codeOf(cause) ?? '08001', `${messageOf(cause)} (connecting to ${where})`, {
      cause,
    })
    this.endpoint = endpoint
  }

  static {
    pinName(ConnectError, 'ConnectError')
  }
}

/** Why connecting failed: the cause of a `ConnectError`, else the error itself. */
export function connectCauseOf(error: unknown): unknown {
  return isInstance(error, ConnectError) ? error.cause : error
}

/** A copy of a failure to connect, so that each caller that is told of it gets its own stack. */
export function copyOf(error: Error): Error {
  return isInstance(error, ConnectError) ? new ConnectError(error.endpoint, error.cause) : error
}

/** The cause of a connect that took too long. Its errno is that of any other timeout of a socket. */
export function noAnswer(millis: number): Error {
  return Object.assign(new Error(`no answer within ${Math.round(millis)} ms`), { code: 'ETIMEDOUT' })
}
