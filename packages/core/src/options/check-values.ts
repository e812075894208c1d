import { propertyOf } from '../thrown.ts'
import type { Problems } from './check.ts'
import { readConnectionString } from './connection-string.ts'
import type { ResetPolicy } from './pool-options.ts'

const RESET_POLICIES: readonly ResetPolicy[] = ['rollback', 'commit', 'session', 'discard', 'none']
const LOGGER_METHODS = ['debug', 'info', 'warn', 'error'] as const

/** One of the names, or a function. */
export function checkResetPolicy(option: string, policy: unknown, problems: Problems): void {
  if (typeof policy === 'function' || RESET_POLICIES.includes(policy as ResetPolicy)) return
  problems.add(option, `one of ${RESET_POLICIES.map((name) => `'${name}'`).join(', ')}, or a function`, policy)
}

/** Something that can be written to. */
export function checkLogger(logger: unknown, problems: Problems): void {
  if (logger === undefined) return
  const has = (method: string): boolean => typeof propertyOf(logger, method) === 'function'
  if (!LOGGER_METHODS.every(has)) problems.add('logger', `an object with ${LOGGER_METHODS.join(', ')}`, logger)
}

/** Code of the user's, or nothing. */
export function checkHook(option: string, hook: unknown, problems: Problems): void {
  if (hook !== undefined && typeof hook !== 'function') problems.add(option, 'a function', hook)
}

/** What the driver reads of it when a pool is made. */
export function checkSsl(ssl: unknown, problems: Problems): void {
  try {
    void (ssl as { key?: unknown } | undefined)?.key
  } catch {
    problems.add('ssl', 'true, false, or the options of tls.connect', ssl)
  }
}

/** Where a whole URL may be given by mistake, and the variables that stand for these options. */
const PLACES = [
  ['host', 'PGHOST'],
  ['user', 'PGUSER'],
  ['database', 'PGDATABASE'],
] as const

/** Where the server is: the options, as given. */
interface Address {
  readonly connectionString?: unknown
  readonly host?: unknown
  readonly port?: unknown
  readonly user?: unknown
  readonly database?: unknown
}

/**
 * Checks where the server is, as far as a slip can be told from something unusual. What isn't understood isn't repeated, for
 * it may hold a password.
 */
export function checkAddress(given: Address, environment: NodeJS.ProcessEnv, problems: Problems): void {
  const { connectionString, host, port } = given
  if (typeof connectionString === 'string') {
    const read = readConnectionString(connectionString)
    if ('problem' in read) problems.found.push(read.problem)
  } else if (connectionString !== undefined && connectionString !== null)
    problems.add('connectionString', 'a text, such as postgres://user@host/database', connectionString)
  if (host !== undefined && host !== null && typeof host !== 'string')
    problems.add('host', 'a name or an address', host)
  for (const [option, variable] of PLACES) {
    const [name, place] = given[option] ? [option, given[option]] : [variable, environment[variable]]
    if (typeof place === 'string' && place.includes('://') && (name === option || !connectionString))
      problems.found.push(`\`${name}\` must not be a URL: that is what \`connectionString\` takes.`)
  }
  if (!isPort(port ?? 5432)) problems.add('port', 'a number from 0 to 65535', port)
}

function isPort(port: unknown): boolean {
  if (typeof port !== 'number' && typeof port !== 'string') return false
  const number = Number(port)
  return Number.isInteger(number) && number >= 0 && number <= 65_535
}

/** What to tell where the server can't be reached: that the address was meant to be given, and isn't. */
export function addressHint(given: object, environment: NodeJS.ProcessEnv): string | undefined {
  const { connectionString, host } = given as Address
  if (!('connectionString' in given) || connectionString || host || environment.PGHOST) return undefined
  return 'nothing says where the server is: is the variable set that `connectionString` comes from, such as DATABASE_URL?'
}
