import { Client, type ClientConfig } from 'pg'

/** Where the driver connects to with these options, and as which user. */
export function driverAddress(options: object): object {
  const client = new Client(options as ClientConfig) as Client & {
    readonly ssl: unknown
    readonly connectionParameters: { readonly options: string | undefined }
  }
  const { host, port, user, password, database, ssl } = client
  return { host, port, user, password, database, ssl, options: client.connectionParameters.options }
}
