/** What is told instead of a connection string that can't be read: never a part of it, for it may hold a password. */
const FORMS =
  'a URL (postgres://user:password@host:5432/database), the path of a socket (/var/run/postgresql database), or key words (host=… password=…)'

/** The schemes of `pg`; in others a colon may be what divides a user from a password. */
const IS_URL = /^(?:[a-z][a-z\d+.-]*:\/\/|(?:postgres(?:ql)?|pg|socket):\/)/i
const IS_SOCKET = /^\//
const HAS_KEY_WORDS = /^\s*[a-z_]+\s*=/i

/** The key words of libpq that mean something to `pg`, or ask for what it does anyhow. */
const KEY_WORDS: ReadonlySet<string> = new Set(
  `host hostaddr port dbname user password application_name fallback_application_name options client_encoding sslmode
  sslcert sslkey sslrootcert sslnegotiation replication connect_timeout keepalives keepalives_idle keepalives_interval
  keepalives_count tcp_user_timeout gssencmode`.split(/\s+/),
)

/** A connection string as `pg` understands it, or why it can't. */
export type ReadConnectionString = { readonly url: string } | { readonly problem: string }

/**
 * Reads a connection string: a URL and a socket's path as `pg` does; libpq's key words, which `pg` takes for the name of a
 * database, are put into a URL.
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
  const url = parse(text)
  if (url && !hasStrayAt(url)) return { url: text }
  return {
    problem: `\`connectionString\` can't be read as a URL: special characters in it (of a password: @ : / ? # % and blanks) must be percent-encoded.`,
  }
}

/** As `pg` reads it: blanks are allowed, and so is an empty host behind a user. */
function parse(text: string): URL | undefined {
  const isLoose = / |%[^a-f0-9]|%[a-f0-9][^a-f0-9]/i.test(text)
  const strict = isLoose ? encodeURI(text).replaceAll(/%25(\d\d)/g, '%$1') : text
  for (const candidate of [strict, strict.replace('@/', '@nowhere/')])
    if (URL.canParse(candidate)) return new URL(candidate)
  return undefined
}

/** Whether the host is what stands before a `/`, `?` or `#` in a password, so that the rest of it is in other parts. */
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
      problem: `\`connectionString\` has a key word that isn't understood; these are: ${[...KEY_WORDS].join(', ')}.`,
    }
  const { dbname = '', host, hostaddr, ...others } = Object.fromEntries(words)
  if (/[?#]/.test(dbname)) return { problem: '`connectionString`: a `dbname` with ? or # must be given as `database`.' }
  const at = host ?? hostaddr
  const parameters = new URLSearchParams({ ...(at !== undefined && { host: at }), ...others })
  return { url: `postgres:///${encodeURI(dbname)}?${parameters}` }
}

/** `key = value`, the value bare or in single quotes, with a backslash before what is meant as it is. */
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
