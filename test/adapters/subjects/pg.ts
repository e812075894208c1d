import { Pool, type Transaction } from '@holdfast/core'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import type { Database, Row, Subject, Tx } from '../subject.ts'

const INSERT = 'insert into entry values ($1)'

function databaseOn(pool: Pool): Database {
  return {
    pool,
    run: async (sql) => (await pool.query<Row>(sql)).rows ?? [],
    insert: async (id) => void (await pool.query(INSERT, [id])),
    ids: async () => (await pool.query<{ id: string }>('select id from entry')).rows.map(({ id }) => id),
    transaction: (fn, options) => pool.transaction((tx) => fn(txOf(tx), { attempt: tx.attempt }), options),
    prepared: async (id) => {
      const named = { name: 'entry_by_id', text: 'select id from entry where id = $1', values: [id] }
      return (await pool.query<Row>(named)).rows
    },
    stream: (sql) => rowsOf(pool, sql),
    begin: async () => {
      const client = await pool.connect()
      try {
        await client.query('begin')
      } catch (error) {
        client.release()
        throw error
      }
      const end = async (statement: string): Promise<void> => {
        try {
          await client.query(statement)
        } finally {
          client.release()
        }
      }
      return { ...statementsOf(client), commit: () => end('commit'), rollback: () => end('rollback') }
    },
    runUntil: async (text, signal) => (await pool.query<Row>({ text, signal })).rows,
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  }
}

function statementsOf(client: Pick<pg.ClientBase, 'query'>): Pick<Tx, 'run' | 'insert'> {
  return {
    run: async (sql) => (await client.query<Row>(sql)).rows ?? [],
    insert: async (id) => void (await client.query(INSERT, [id])),
  }
}

function txOf(tx: Transaction): Tx {
  return { ...statementsOf(tx), savepoint: (fn) => tx.savepoint((inner) => fn(txOf(inner))) }
}

async function* rowsOf(pool: Pool, sql: string): AsyncIterable<Row> {
  const client = await pool.connect()
  try {
    const cursor = client.query(new Cursor<Row>(sql))
    try {
      for (let rows = await cursor.read(1); rows.length > 0; rows = await cursor.read(1)) yield* rows
    } finally {
      await cursor.close()
    }
  } finally {
    client.release()
  }
}

/** No ORM at all: `pool.query`, `pool.connect`, `pool.transaction`. */
export const subject: Subject = {
  name: 'raw pg',
  module: import.meta.url,
  can: ['prepared', 'stream', 'begin', 'runUntil'],
  retries: true,
  open: async (options) => databaseOn(new Pool(options)),
}
