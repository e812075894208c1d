/** What a connection string says of the servers. */
export interface AddressInUrl {
  /** As written; empty if it names none. */
  readonly hosts: readonly string[]
  /** One for each host, or one for all; an empty text is the default. Empty if there is none. */
  readonly ports: readonly string[]
  readonly parameters: URLSearchParams
  /** Whether it is the path of a Unix socket, and no URL. */
  readonly isSocketPath: boolean
}

/** A URL in its parts: scheme and user, hosts, path, parameters, fragment. */
const URL_PARTS = /^([a-z][a-z\d+.-]*:\/\/(?:[^/?#]*@)?)([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/is
const HOST_AND_PORT = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s
const NOWHERE: AddressInUrl = { hosts: [], ports: [], parameters: new URLSearchParams(), isSocketPath: false }

/**
 * Reads the hosts of a connection string: a URL, as libpq writes it, with its parameters, or key words that were made a URL. The
 * driver takes no list, and `URL` can't read most of them.
 *
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 */
export function addressIn(connectionString: string): AddressInUrl {
  if (/^(?:\/|socket:)/i.test(connectionString)) return { ...NOWHERE, isSocketPath: true }
  const [matched, , authority = '', , query = ''] = URL_PARTS.exec(connectionString) ?? []
  if (matched === undefined) return NOWHERE
  const parameters = new URLSearchParams(query)
  const pairs = authority === '' ? [] : authority.split(',').map((each) => HOST_AND_PORT.exec(each) ?? [])
  const ports = pairs.map(([, , port = '']) => port)
  return {
    hosts: listIn(parameters, 'host') ?? pairs.map(([, host = '']) => decoded(host)),
    ports: listIn(parameters, 'port') ?? (ports.some(Boolean) ? ports : []),
    parameters,
    isSocketPath: false,
  }
}

/** The connection string without its hosts and ports, which `URL` can read. */
export function withoutHosts(connectionString: string): string {
  const { isSocketPath, hosts, ports } = addressIn(connectionString)
  if (isSocketPath || (hosts.length < 2 && ports.length < 2)) return connectionString
  return rewritten(connectionString, (parameters) => removeAll(parameters, /^(?:host|port)$/))
}

/** What replaces the parts of a connection string. */
export interface UrlParts {
  readonly host: string
  readonly port: number
  /** A function can't be a part of a URL: then it has no password. */
  readonly password?: unknown
  readonly ssl?: unknown
}

/** The connection string for one of the hosts. A parameter has precedence over what stands before the path. */
export function urlFor(connectionString: string, { host, port, password, ssl }: UrlParts): string {
  const url = rewritten(connectionString, (parameters) => {
    if (ssl !== undefined) removeAll(parameters, /^ssl/)
    if (password !== undefined) parameters.delete('password')
    parameters.set('host', host)
    parameters.set('port', String(port))
    if (typeof password === 'string') parameters.set('password', password)
  })
  // With a password of its own, a host needs none of the URL.
  return password === undefined ? url : url.replace(/^([^/]*\/\/[^/?#:]*):[^/?#]*@/, '$1@')
}

function rewritten(connectionString: string, change: (parameters: URLSearchParams) => void): string {
  const [matched, start = '', , path = '', query = '', fragment = ''] = URL_PARTS.exec(connectionString) ?? []
  if (matched === undefined) return connectionString
  const parameters = new URLSearchParams(query)
  change(parameters)
  const text = String(parameters)
  // Without a path the driver would not see that the host is empty.
  return `${start}${path || '/'}${text && `?${text}`}${fragment}`
}

function removeAll(parameters: URLSearchParams, names: RegExp): void {
  for (const name of [...parameters.keys()]) if (names.test(name)) parameters.delete(name)
}

function listIn(parameters: URLSearchParams, name: string): string[] | undefined {
  const text = parameters.get(name)
  return text ? text.split(',').map((each) => each.trim()) : undefined
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
