import { isList, type Problems } from './check.ts'
import { withoutHosts } from './host-url.ts'

/** The error names these forms, and never repeats a part of the connection string, which may hold a password. */
const FORMS =
  'a URL (postgres://user:password@host:5432/database; several hosts with commas), the path of a socket (/var/run/postgresql database), or key words (host=… password=…)'

/** The schemes of `pg`. In any other text a colon may separate a user from a password. */
const IS_URL = /^(?:[a-z][a-z\d+.-]*:\/\/|(?:postgres(?:ql)?|pg|socket):\/)/i
const IS_SOCKET = /^\//
const HAS_KEY_WORDS = /^\s*[a-z_]+\s*=/i

/** The key words of libpq that have a meaning in `pg`, or that ask for what `pg` does in any case. */
const KEY_WORDS: ReadonlySet<string> = new Set(
  `host hostaddr port dbname user password application_name fallback_application_name options client_encoding sslmode
  sslcert sslkey sslrootcert sslnegotiation replication connect_timeout keepalives keepalives_idle keepalives_interval
  keepalives_count tcp_user_timeout gssencmode target_session_attrs load_balance_hosts`.split(/\s+/),
)

/** A connection string as `pg` understands it, or why `pg` can't. */
export type ReadConnectionString = { readonly url: string } | { readonly problem: string }

/**
 * Reads a connection string. A URL and the path of a socket stay as they are. The key words of libpq, which `pg` would take
 * for the name of a database, become a URL.
 *
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
 */
export function readConnectionString(text: string): ReadConnectionString {
  if (text === '' || IS_SOCKET.test(text)) return { url: text }
  if (IS_URL.test(text)) return readUrl(text)
  if (HAS_KEY_WORDS.test(text)) return readKeyWords(text)
  return { problem: `\`connectionString\` must be ${FORMS}.` }
}

function readUrl(text: string): ReadConnectionString {
  // The hosts of a list are no part of a URL that `URL` can read.
  const url = parse(withoutHosts(text))
  if (url && !hasStrayAt(url)) return { url: text }
  return {
    problem: `\`connectionString\` can't be read as a URL: special characters in it (of a password: @ : / ? # % and blanks) must be percent-encoded.`,
  }
}

/** Reads a URL as `pg` does: with blanks, and with an empty host after a user. */
function parse(text: string): URL | undefined {
  const isLoose = / |%[^a-f0-9]|%[a-f0-9][^a-f0-9]/i.test(text)
  const strict = isLoose ? encodeURI(text).replaceAll(/%25(\d\d)/g, '%$1') : text
  for (const candidate of [strict, strict.replace('@/', '@nowhere/')])
    if (URL.canParse(candidate)) return new URL(candidate)
  return undefined
}

/** Whether a `/`, `?` or `#` in a password has ended the host too early, so that the rest is in the other parts of the URL. */
function hasStrayAt({ username, pathname, searchParams, hash, protocol }: URL): boolean {
  if (username !== '' || protocol === 'socket:') return false
  return [pathname, hash, ...searchParams.keys()].some((part) => part.includes('@'))
}

function readKeyWords(text: string): ReadConnectionString {
  const words = wordsIn(text)
  if (!words)
    return {
      problem: "`connectionString` can't be read: its key words must be as in libpq, such as host=h user='a b'.",
    }
  const unknown = [...words.keys()].some((word) => !KEY_WORDS.has(word))
  if (unknown)
    return {
      problem: `\`connectionString\` has an unknown key word; the known ones are: ${[...KEY_WORDS].join(', ')}.`,
    }
  const { dbname = '', host, hostaddr, ...others } = Object.fromEntries(words)
  if (/[?#]/.test(dbname)) return { problem: '`connectionString`: a `dbname` with ? or # must be given as `database`.' }
  const at = host ?? hostaddr
  const parameters = new URLSearchParams({ ...(at !== undefined && { host: at }), ...others })
  return { url: `postgres:///${encodeURI(dbname)}?${parameters}` }
}

/** The pairs `key = value`. A value is bare or in single quotes; a backslash escapes the next character. */
function wordsIn(text: string): Map<string, string> | undefined {
  const words = new Map<string, string>()
  const pair = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)\s*/gisy
  while (pair.lastIndex < text.length) {
    const [, word, quoted, bare] = pair.exec(text) ?? []
    if (word === undefined) return undefined
    words.set(word, (quoted ?? bare ?? '').replaceAll(/\\(.)/gs, '$1'))
  }
  return words
}

/** Options that may get a whole URL by mistake, and the environment variables for them. */
const PLACES = [
  ['host', 'PGHOST'],
  ['user', 'PGUSER'],
  ['database', 'PGDATABASE'],
] as const

/** The options that say where the server is, as given. */
interface Address {
  readonly connectionString?: unknown
  readonly host?: unknown
  readonly port?: unknown
  readonly user?: unknown
  readonly database?: unknown
}

/** Checks the options that say where the server is. A value that is wrong isn't repeated, since it may hold a password. */
export function checkAddress(given: Address, environment: NodeJS.ProcessEnv, problems: Problems): void {
  const { connectionString, host, port } = given
  if (typeof connectionString === 'string') {
    const read = readConnectionString(connectionString)
    if ('problem' in read) problems.found.push(read.problem)
  } else if (connectionString !== undefined && connectionString !== null)
    problems.add('connectionString', 'a string, such as postgres://user@host/database', connectionString)
  const isNames = isList(host) && host.length > 0 && host.every((each) => typeof each === 'string')
  if (host !== undefined && host !== null && typeof host !== 'string' && !isNames)
    problems.add('host', 'a name or an address, or a list of them', host)
  for (const [option, variable] of PLACES) {
    const [name, place] = given[option] ? [option, given[option]] : [variable, environment[variable]]
    if (typeof place === 'string' && place.includes('://') && (name === option || !connectionString))
      problems.found.push(`\`${name}\` must not be a URL: that is what \`connectionString\` takes.`)
  }
  // Each port of a list is checked with its host.
  const isPorts = isList(port) || (typeof port === 'string' && port.includes(','))
  if (!isPorts && !isPort(port ?? 5432)) problems.add('port', 'a number from 0 to 65535', port)
}

function isPort(port: unknown): boolean {
  if (typeof port !== 'number' && typeof port !== 'string') return false
  const number = Number(port)
  return Number.isInteger(number) && number >= 0 && number <= 65_535
}

/** What to add to a connect error if `connectionString` was given without a value, and nothing else says where the server is. */
export function addressHint(given: object, environment: NodeJS.ProcessEnv): string | undefined {
  const { connectionString, host } = given as Address
  if (!('connectionString' in given) || connectionString || host || environment.PGHOST) return undefined
  return 'nothing says where the server is: is the variable set that `connectionString` comes from, such as DATABASE_URL?'
}

/** The driver reads `ssl.key` when a pool is made, so reading it must not throw. */
export function checkSsl(ssl: unknown, problems: Problems): void {
  try {
    void (ssl as { key?: unknown } | undefined)?.key
  } catch {
    problems.add('ssl', 'true, false, or the options of tls.connect', ssl)
  }
}
