import type { ConnectionOptions } from 'node:tls'
import { isList, isReadable, type Problems } from './check.ts'
import { readConnectionString } from './connection-string.ts'
import { type AddressInUrl, addressIn, urlFor } from './host-url.ts'
import type { HostOptions, OwnOptions, TargetSessionAttrs } from './pool-options.ts'
import type { Reading } from './read-values.ts'

/** A server that the pool may connect to. What is undefined, the driver reads from the other options, as for a single one. */
export interface Host {
  readonly host: string | undefined
  readonly port: number | undefined
  readonly password?: HostOptions['password']
  readonly ssl?: boolean | ConnectionOptions | undefined
}

/** Whether the hosts are tried in another order each time. See `PoolOptions.loadBalanceHosts`. */
export type LoadBalance = NonNullable<OwnOptions['loadBalanceHosts']>

const TARGETS: readonly TargetSessionAttrs[] = [
  'any',
  'read-write',
  'read-only',
  'primary',
  'standby',
  'prefer-standby',
  'prefer-primary',
]

const DEFAULT_PORT = 5432
const ONE_HOST: readonly Host[] = Object.freeze([])

/** A host that a login leads to. */
export interface Candidate {
  readonly host: Host
  /** Whether it is taken in any role, since none of the preferred one has answered. */
  readonly isLastChoice: boolean
}

/** The options that say where the servers are, as given. */
interface Given {
  readonly connectionString?: unknown
  readonly hosts?: unknown
  readonly host?: unknown
  readonly port?: unknown
}

/**
 * Reads the list of hosts, in all the ways in which libpq and Node write it. Empty if there is a single one, which the driver
 * reads by itself.
 *
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
 */
export function readHosts(given: unknown, { all, problems }: Reading): readonly Host[] {
  const { connectionString, host, port } = all as Given
  const environment = process.env
  if (given !== undefined && given !== null) return readHostOptions('hosts', given, all as Given, problems)
  const url = urlIn(connectionString)
  const read = url === undefined ? { hosts: listOf(host), ports: listOf(port) } : addressIn(url)
  const hosts = read.hosts.length > 0 ? read.hosts : listOf(environment.PGHOST)
  const ports = read.ports.length > 0 ? read.ports : listOf(environment.PGPORT)
  if (hosts.length < 2 && ports.length < 2) return ONE_HOST
  return pair({ hosts, ports }, problems, read.ports.length > 0 && url !== undefined)
}

/** A host as events and errors name it. */
export function addressOf({ host = '', port = 0 }: Host): { readonly host: string; readonly port: number } {
  return { host, port }
}

/** The options of a client, made to lead to this host. */
export function leadingTo<Options extends { connectionString?: string | undefined }>(
  options: Options,
  { host, port, password, ssl }: Host,
): Options {
  if (host === undefined || port === undefined) return options
  const { connectionString } = options
  const own = { host, port, ...(password !== undefined && { password }), ...(ssl !== undefined && { ssl }) }
  return { ...options, ...own, ...(connectionString && { connectionString: urlFor(connectionString, own) }) }
}

/** The options of a pool with several hosts, so that a program that copies them gets a client for the first, or a pool for all. */
export function withHosts<Options extends { connectionString?: string | undefined }>(
  options: Options,
  { hosts, replicas }: { readonly hosts: readonly Host[]; readonly replicas: object | undefined },
): Options {
  const [first] = hosts
  // As they were read: no log shows their passwords.
  const shown = replicas ? { ...options, replicas } : options
  return first ? { ...leadingTo(shown, { host: first.host, port: first.port }), hosts } : shown
}

/** Makes the options of a pool show the host to which its connections lead at present. */
export function showCurrentHost(options: object, [first]: readonly Host[], taken: () => Host | undefined): void {
  if (!first) return
  const current = (): Host => taken() ?? first
  const { connectionString } = options as { connectionString?: string }
  const show = (key: string, enumerable: boolean, get: () => unknown): void => {
    Object.defineProperty(options, key, { enumerable, configurable: true, get, set: () => {} })
  }
  show('host', true, () => current().host)
  show('port', true, () => current().port)
  const isShown = Object.keys(options).includes('connectionString')
  if (connectionString)
    show('connectionString', isShown, () => leadingTo({ connectionString }, current()).connectionString)
}

/** What the URL says, else the option, else the environment: the order in which the driver reads its own. */
function wordFor(given: unknown, inUrl: string, variable: string, { all }: Pick<Reading, 'all'>): unknown {
  const url = urlIn((all as Given).connectionString)
  return (url && addressIn(url).parameters.get(inUrl)) || (given ?? process.env[variable]) || undefined
}

/** One of the words for `targetSessionAttrs`. */
export function readTarget(given: unknown, reading: Reading): TargetSessionAttrs {
  const word = wordFor(given, 'target_session_attrs', 'PGTARGETSESSIONATTRS', reading) ?? reading.default
  reading.problems.oneOf(reading.option, word, TARGETS)
  return word as TargetSessionAttrs
}

/** `disable` is how libpq says false. */
export function readLoadBalance(given: unknown, reading: Reading): LoadBalance {
  const word = wordFor(given, 'load_balance_hosts', 'PGLOADBALANCEHOSTS', reading) ?? reading.default
  const value = word === 'disable' ? false : word
  reading.problems.oneOf(reading.option, value, [false, 'random', 'round-robin'])
  return value as LoadBalance
}

/** Reads a list of hosts that is the value of `option`. */
export function readHostOptions(
  option: string,
  given: unknown,
  { connectionString, port }: Given,
  problems: Problems,
): readonly Host[] {
  const isEach = isList(given) && given.length > 0 && given.every((each) => isReadable(each) && isHost(each))
  if (!isEach) {
    problems.add(option, 'a list of { host, port }, such as [{ host: "a" }, { host: "b", port: 5433 }]', given)
    return ONE_HOST
  }
  const url = urlIn(connectionString)
  if (url !== undefined && addressIn(url).isSocketPath)
    problems.found.push(`\`${option}\` must be absent if \`connectionString\` is the path of a socket.`)
  const ports = listOf(port ?? process.env.PGPORT)
  const common = ports.length === 1 ? ports[0] : undefined
  return Object.freeze(
    (given as HostOptions[]).map((each) => {
      const own = each.port ?? common ?? DEFAULT_PORT
      const number = readPort(own)
      if (number === undefined) problems.add(`${option}.port`, 'a number from 1 to 65535', own)
      checkName(each.host, `${option}.host`, problems)
      const { password, ssl } = each
      const host = { host: withoutBrackets(each.host), port: number ?? DEFAULT_PORT, ...(ssl !== undefined && { ssl }) }
      // As in `pool.options`, no log shows it.
      if (password !== undefined) Object.defineProperty(host, 'password', { value: password })
      return Object.freeze(host)
    }),
  )
}

/** Gives each host its port: one is for all of them. An empty name is the driver's default, and so is an empty port. */
function pair(
  { hosts, ports }: Pick<AddressInUrl, 'hosts' | 'ports'>,
  problems: Problems,
  isInUrl: boolean,
): readonly Host[] {
  if (ports.length > 1 && ports.length !== hosts.length) {
    problems.found.push(
      `\`port\` must be one for all hosts, or one for each: there are ${ports.length} ports for ${hosts.length || 1} hosts.`,
    )
    return ONE_HOST
  }
  const portOf = (index: number): string | number => (ports.length > 1 ? ports[index] : ports[0]) || DEFAULT_PORT
  const wrong = hosts.map((_, index) => portOf(index)).find((port) => readPort(port) === undefined)
  // What stands in a URL isn't repeated, since it may be a part of a password.
  if (wrong !== undefined && isInUrl)
    problems.found.push('`connectionString`: a port must be a number from 1 to 65535.')
  else if (wrong !== undefined) problems.add('port', 'a number from 1 to 65535', wrong)
  for (const name of hosts) checkName(name, 'host', problems)
  return Object.freeze(
    hosts.map((name, index) =>
      Object.freeze({ host: withoutBrackets(name) || 'localhost', port: readPort(portOf(index)) ?? DEFAULT_PORT }),
    ),
  )
}

function checkName(name: string, option: string, problems: Problems): void {
  if (name.includes('://'))
    problems.found.push(`\`${option}\` must not be a URL: that is what \`connectionString\` takes.`)
  else if (/^(?:\[.*\]|[^:/]*):\d*$/.test(name))
    problems.found.push(`\`${option}\` must not contain a port: that is what \`port\` takes.`)
}

function isHost(each: object): boolean {
  const { host } = each as Partial<HostOptions>
  return typeof host === 'string' && host !== '' && !host.includes(',')
}

/** The elements of a list: an array, or a text with commas. */
function listOf(value: unknown): readonly string[] {
  if (value === undefined || value === null || value === '') return []
  if (isList(value)) return value.map((each) => (isNameOrNumber(each) ? String(each).trim() : ''))
  return isNameOrNumber(value)
    ? String(value)
        .split(',')
        .map((each) => each.trim())
    : []
}

function isNameOrNumber(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}

function readPort(value: unknown): number | undefined {
  const port = isNameOrNumber(value) ? Number(value) : Number.NaN
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? port : undefined
}

function withoutBrackets(name: string): string {
  return name.replace(/^\[(.*)\]$/, '$1')
}

/** A connection string as a URL; undefined if there is none, or it is refused elsewhere. */
function urlIn(connectionString: unknown): string | undefined {
  if (typeof connectionString !== 'string' || connectionString === '') return undefined
  const read = readConnectionString(connectionString)
  return 'url' in read ? read.url : undefined
}
