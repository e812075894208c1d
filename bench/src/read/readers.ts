import { Pool } from '@holdfast/core'
import { drizzle as holdfastDrizzle } from '@holdfast/drizzle'
import { HoldfastDialect } from '@holdfast/kysely'
import { holdfast as holdfastTypeOrm } from '@holdfast/typeorm'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import {
  boolean,
  doublePrecision,
  integer,
  type PgDatabase,
  type PgQueryResultHKT,
  pgTable,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import { Kysely, PostgresDialect } from 'kysely'
import pg, { type ClientConfig } from 'pg'
import { DataSource, EntitySchema } from 'typeorm'
import { connectPostgresJs, type PostgresJs } from './postgres-js.ts'

/** A pool, or an ORM on one, that reads by one value. */
export interface Reader {
  read(value: number): Promise<unknown>
  close(): Promise<unknown>
}

/** Makes a reader of at most so many connections. */
export type MakeReader = (config: ClientConfig, max: number) => Promise<Reader>

/** Readers that send this text. */
export function readersOf(statement: string): Readonly<Record<'holdfast' | 'pg-pool' | 'postgres-js', MakeReader>> {
  const reading = (pool: pg.Pool): Reader => ({
    read: (value) => pool.query(statement, [value]),
    close: () => pool.end(),
  })
  return {
    holdfast: async (config, max) => reading(new Pool({ ...config, max })),
    'pg-pool': async (config, max) => reading(new pg.Pool({ ...config, max })),
    'postgres-js': (config, max) => postgresJs(statement, config, max),
  }
}

/** Not imported above: only this contestant needs it. */
const DRIZZLE_ON_POSTGRES_JS: string = 'drizzle-orm/postgres-js'

async function postgresJs(statement: string, config: ClientConfig, max: number): Promise<Reader> {
  const sql = await connectPostgresJs(config, max)
  return {
    // As a template does it.
    read: (value) => sql.unsafe(statement, [value], { prepare: true }),
    close: () => sql.end(),
  }
}

const item = pgTable('item', {
  id: integer().primaryKey(),
  ownerId: integer('owner_id').notNull(),
  kindId: integer('kind_id').notNull(),
  name: text().notNull(),
  note: text(),
  price: integer().notNull(),
  weight: doublePrecision().notNull(),
  isNew: boolean('is_new').notNull(),
  madeAt: timestamp('made_at', { withTimezone: true }).notNull(),
  code: text().notNull(),
})

/** For Kysely: what it doesn't need to know is left out. */
interface Tables {
  readonly item: Readonly<Record<string, unknown>> & { readonly id: number }
}

const Item = new EntitySchema<{ readonly id: number }>({
  name: 'item',
  columns: {
    id: { type: 'int', primary: true },
    owner_id: { type: 'int' },
    kind_id: { type: 'int' },
    name: { type: 'text' },
    note: { type: 'text', nullable: true },
    price: { type: 'int' },
    weight: { type: 'float8' },
    is_new: { type: 'bool' },
    made_at: { type: 'timestamptz' },
    code: { type: 'text' },
  } as never,
})

/** One row of ten columns by its key, in the words of each ORM: on Holdfast, on `pg.Pool`, on postgres.js if it can. */
export const ORM_READERS: Readonly<
  Record<string, Readonly<Record<'holdfast' | 'pg-pool', MakeReader> & Partial<Record<'postgres-js', MakeReader>>>>
> = {
  Drizzle: {
    holdfast: async (config, max) => {
      const client = new Pool({ ...config, max })
      return ofDrizzle(holdfastDrizzle({ client }), client)
    },
    'pg-pool': async (config, max) => {
      const client = new pg.Pool({ ...config, max })
      return ofDrizzle(drizzle({ client }), client)
    },
    'postgres-js': async (config, max) => {
      const client = await connectPostgresJs(config, max)
      const { drizzle: ofPostgresJs } = (await import(DRIZZLE_ON_POSTGRES_JS)) as { drizzle: MakeDatabase }
      return ofDrizzle(ofPostgresJs({ client }), client)
    },
  },
  Kysely: {
    holdfast: async (config, max) => kysely(new Kysely({ dialect: new HoldfastDialect({ ...config, max }) })),
    'pg-pool': async (config, max) => {
      const pool = new pg.Pool({ ...config, max })
      return kysely(new Kysely({ dialect: new PostgresDialect({ pool }) }))
    },
  },
  TypeORM: {
    holdfast: (config, max) =>
      typeOrm(new DataSource(holdfastTypeOrm({ ...addressOf(config), entities: [Item], holdfast: { max } } as never))),
    'pg-pool': (config, max) =>
      typeOrm(new DataSource({ ...addressOf(config), entities: [Item], extra: { max } } as never)),
  },
}

/** What is used of a Drizzle database, whatever it is on. */
type Database = Pick<PgDatabase<PgQueryResultHKT>, 'select'>
type MakeDatabase = (config: { readonly client: PostgresJs }) => Database

function ofDrizzle(db: Database, client: { end(): Promise<unknown> }): Reader {
  return { read: async (id) => db.select().from(item).where(eq(item.id, id)), close: () => client.end() }
}

function kysely(db: Kysely<Tables>): Reader {
  return {
    read: (id) => db.selectFrom('item').selectAll().where('id', '=', id).execute(),
    close: () => db.destroy(),
  }
}

async function typeOrm(source: DataSource): Promise<Reader> {
  await source.initialize()
  const items = source.getRepository(Item)
  return { read: (id) => items.findOneBy({ id }), close: () => source.destroy() }
}

function addressOf({ host, port, user, password, database, ssl }: ClientConfig): object {
  return { type: 'postgres', host, port, username: user, password, database, ssl }
}
