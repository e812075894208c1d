import { once } from 'node:events'
import { Pool } from '@holdfast/core'
import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'

/**
 * Has code that the driver calls while it reads an answer throw, and tells by lines what nobody caught, and whether the same
 * connection goes on. Its one argument says which pool, of which options, and which code.
 */
const { library, options, what } = JSON.parse(process.argv[2] ?? '') as Throwing

/** What to do. */
export interface Throwing {
  readonly library: 'pg.Pool' | 'Holdfast'
  readonly options: pg.PoolConfig
  readonly what: keyof typeof THROWING
}

function fail(): never {
  throw new Error('of the application')
}

let cursor: Cursor | undefined

function read(holder: pg.PoolClient, sql: string): void {
  cursor = holder.query(new Cursor(sql))
  cursor.read(1, fail)
}

/** Each gives the driver code that throws. */
const THROWING = {
  'the callback of a statement': (client: pg.PoolClient) => client.query('select 1', fail),
  'the callback of a statement that fails': (client: pg.PoolClient) => client.query('select nonsense', fail),
  'the callback of a query object': (client: pg.PoolClient) =>
    client.query(new pg.Query('select 1') as never, fail as never),
  'a listener to rows': (client: pg.PoolClient) => client.query(new pg.Query('select 1')).on('row', fail),
  'a listener to the end': (client: pg.PoolClient) => client.query(new pg.Query('select 1')).on('end', fail),
  'a listener to the error': (client: pg.PoolClient) => client.query(new pg.Query('select nonsense')).on('error', fail),
  'a listener to notifications': (client: pg.PoolClient) => {
    client.on('notification', fail)
    return client.query('listen it; notify it')
  },
  'a listener to notices': (client: pg.PoolClient) => {
    client.on('notice', fail)
    return client.query("do $$ begin raise notice 'it'; end $$")
  },
  'the callback of a cursor': (client: pg.PoolClient) => read(client, 'select 1'),
  'the callback of a cursor that fails': (client: pg.PoolClient) => read(client, 'select nonsense'),
  'a listener to the data of a stream': (client: pg.PoolClient) =>
    client.query(new QueryStream('select 1')).on('data', fail),
}

const uncaught = once(process, 'uncaughtException')
process.on('uncaughtException', () => {}) // With pg it may come again.
const pool: pg.Pool = new (library === 'pg.Pool' ? pg.Pool : Pool)(options as object) as pg.Pool
pool.on('connect', (client) => client.on('error', (error) => console.log(`lost: ${error.message}`)))
const client = await pool.connect()
const pid = (client as unknown as { processID: number }).processID
void THROWING[what](client)
const [error] = await uncaught
console.log(`uncaught: ${error.message}`)
if (library === 'Holdfast') {
  client.removeAllListeners('notification').removeAllListeners('notice')
  await cursor?.close()
  console.log(`goes on: ${(await client.query('select 1 as one')).rows[0].one}`)
  client.release()
  const next = await pool.connect()
  console.log((next as unknown as { processID: number }).processID === pid ? 'the same' : 'another')
  next.release()
  await pool.end()
}
process.exit()
