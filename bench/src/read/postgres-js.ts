import type { ClientConfig } from 'pg'

/** What is used of postgres.js. */
export interface PostgresJs {
  unsafe(
    statement: string,
    values?: readonly unknown[],
    options?: { readonly prepare: boolean },
  ): Promise<readonly object[]>
  end(): Promise<unknown>
}

/** Not imported above: only this contestant needs it. */
const POSTGRES_JS: string = 'postgres'

/** postgres.js with the address of a client of pg. */
export async function connectPostgresJs(config: ClientConfig, max: number): Promise<PostgresJs> {
  const { default: postgres } = (await import(POSTGRES_JS)) as { default: (options: object) => PostgresJs }
  const { host, port, database, user, password, ssl } = config
  return postgres({ host, port, database, username: user, password, ssl, max })
}
