import { randomBytes } from 'node:crypto'
import { FaultProxy } from '@holdfast/test/support'
import pg from 'pg'
import { factsOf } from '../workload/operation.ts'
import { Ground } from './ground.ts'

/** The given server can't be used. The message says which server, and why. */
export class UnusableServer extends Error {}

/**
 * A server that others run: the storm breaks its network and ends its sessions, and leaves the server itself alone.
 *
 * @throws {UnusableServer} when no login succeeds.
 */
export async function externalGround(name: string, url: string): Promise<Ground> {
  const { host, port, user, password, database, ssl } = parse(url)
  const proxy = await FaultProxy.start({ host, port })
  const run = randomBytes(4).toString('hex')
  const application_name = `storm-${name}-${run}`
  const login = { user, password, database }
  // The certificate is the server's, though the connection goes to the proxy.
  const throughProxy = ssl === false ? {} : { ssl: { servername: host, ...(ssl === true ? {} : ssl) } }
  const ground = new Ground({
    proxy,
    service: { ...login, ...throughProxy, host: proxy.host, port: proxy.port, application_name },
    schema: `holdfast_storm_${run}`,
    direct: { ...login, host, port, ssl, application_name: `storm-truth-${run}` },
    dispose: () => proxy[Symbol.asyncDispose](),
  })
  try {
    await ground.query('select 1')
  } catch (error) {
    await proxy[Symbol.asyncDispose]()
    const { message } = factsOf(error, 'connect')
    throw new UnusableServer(`Cannot log in at ${host}:${port}: ${message}`, { cause: error })
  }
  return ground
}

/** As pg itself understands the URL, environment variables included. */
function parse(connectionString: string): {
  host: string
  port: number
  user: string
  password: string
  database: string
  ssl: boolean | object
} {
  const client = new pg.Client({ connectionString })
  const { host, port, user = '', password, database = '' } = client
  const ssl = (client as unknown as { readonly ssl: boolean | object }).ssl
  if (host.startsWith('/'))
    throw new UnusableServer('The storm needs a TCP address: a Unix socket has no network to break.')
  return { host, port, user, password: typeof password === 'string' ? password : '', database, ssl }
}
