import {
  and,
  asc,
  between,
  count,
  desc,
  eq,
  exists,
  gt,
  ilike,
  inArray,
  isNull,
  like,
  max,
  not,
  or,
  relations,
  sql,
  sum,
} from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { boolean, integer, jsonb, pgTable, serial, text, timestamp, union, unionAll } from 'drizzle-orm/pg-core'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, sql as raw } from 'kysely'
import { DataSource, EntitySchema, type SelectQueryBuilder } from 'typeorm'

/** What Drizzle, Kysely and TypeORM make of their builders: SELECTs that only read, and all else. */
export interface OrmTexts {
  readonly reads: readonly string[]
  readonly others: readonly string[]
}

/** All lists of one from each. */
function* combinations<Item>(first: readonly Item[], ...rest: readonly (readonly Item[])[]): Generator<Item[]> {
  for (const each of first)
    if (rest[0] === undefined) yield [each]
    else for (const others of combinations(rest[0], ...rest.slice(1))) yield [each, ...others]
}

function drizzleTexts(): OrmTexts {
  const users = pgTable('users', {
    id: serial().primaryKey(),
    name: text().notNull(),
    age: integer(),
    isActive: boolean('is_active'),
    createdAt: timestamp('created_at').defaultNow(),
    tags: jsonb(),
  })
  const posts = pgTable('posts', { id: serial().primaryKey(), authorId: integer('author_id'), title: text() })
  const usersRelations = relations(users, ({ many }) => ({ posts: many(posts) }))
  const postsRelations = relations(posts, ({ one }) => ({
    author: one(users, { fields: [posts.authorId], references: [users.id] }),
  }))
  const db = drizzle.mock({ schema: { users, posts, usersRelations, postsRelations } })
  const wheres = [
    undefined,
    eq(users.id, 1),
    and(gt(users.age, 18), or(like(users.name, 'a%'), ilike(users.name, '%b'))),
    inArray(users.id, [1, 2, 3]),
    not(isNull(users.age)),
    between(users.age, 1, 2),
    exists(db.select({ one: sql`1` }).from(posts).where(eq(posts.authorId, users.id))),
    sql`lower(${users.name}) = ${'x'}`,
    inArray(users.id, db.select({ id: posts.authorId }).from(posts)),
  ]
  const selections = [
    () => db.select().from(users).$dynamic(),
    () => db.selectDistinct({ name: users.name }).from(users).$dynamic(),
    () => db.selectDistinctOn([users.name], { id: users.id }).from(users).$dynamic(),
    () =>
      db
        .select({ count: count(), sum: sum(users.age), max: max(users.createdAt) })
        .from(users)
        .$dynamic(),
    () =>
      db
        .select({ n: sql<number>`coalesce(${users.age}, 0)`, t: sql`date_trunc('day', ${users.createdAt})` })
        .from(users)
        .$dynamic(),
  ]
  const reads: string[] = []
  for (const where of wheres)
    for (const selection of selections)
      for (const limit of [undefined, 10]) {
        const query = selection().where(where)
        reads.push(
          (limit === undefined ? query : query.orderBy(desc(users.id), asc(users.name)).limit(limit).offset(5)).toSQL()
            .sql,
        )
      }
  for (const where of wheres) {
    reads.push(
      db.select().from(users).leftJoin(posts, eq(posts.authorId, users.id)).where(where).toSQL().sql,
      db
        .select({ id: users.id, posts: count(posts.id) })
        .from(users)
        .innerJoin(posts, eq(posts.authorId, users.id))
        .where(where)
        .groupBy(users.id)
        .having(gt(count(posts.id), 1))
        .toSQL().sql,
      db.query.users.findMany({ where, with: { posts: true } }).toSQL().sql,
      db.query.users.findFirst({ where, columns: { name: true }, with: { posts: { limit: 3 } } }).toSQL().sql,
      db.query.posts.findMany({ with: { author: { columns: { id: true } } }, limit: 3 }).toSQL().sql,
    )
    const older = db.$with('older').as(db.select().from(users).where(where))
    reads.push(db.with(older).select().from(older).toSQL().sql)
    const inner = db.select({ id: users.id }).from(users).where(where).as('inner')
    reads.push(db.select().from(inner).toSQL().sql)
    const one = db.select({ id: users.id }).from(users).where(where)
    const two = db.select({ id: posts.id }).from(posts)
    reads.push(union(one, two).toSQL().sql, unionAll(one, two).orderBy(sql`1`).limit(2).toSQL().sql)
  }
  const others: string[] = []
  for (const where of wheres) {
    others.push(
      db.update(users).set({ name: 'b; commit' }).where(where).toSQL().sql,
      db
        .update(users)
        .set({ age: sql`${users.age} + 1` })
        .where(where)
        .returning()
        .toSQL().sql,
      db.delete(users).where(where).toSQL().sql,
      db.delete(users).where(where).returning({ id: users.id }).toSQL().sql,
      db.select().from(users).where(where).for('update').toSQL().sql,
      db.select().from(users).where(where).for('no key update', { skipLocked: true }).toSQL().sql,
      db.select().from(users).where(where).for('key share', { of: users, noWait: true }).toSQL().sql,
      db.select({ r: sql`random()` }).from(users).where(where).toSQL().sql,
    )
    const gone = db.$with('gone').as(db.delete(users).where(where).returning())
    others.push(db.with(gone).select().from(gone).toSQL().sql)
  }
  others.push(
    db.insert(users).values({ name: 'a' }).toSQL().sql,
    db
      .insert(users)
      .values([{ name: 'a' }, { name: 'b' }])
      .returning()
      .toSQL().sql,
    db.insert(users).values({ name: 'a' }).onConflictDoNothing().toSQL().sql,
    db
      .insert(users)
      .values({ name: 'a' })
      .onConflictDoUpdate({ target: users.id, set: { name: 'b' } })
      .returning()
      .toSQL().sql,
    db
      .insert(posts)
      .select(db.select({ id: users.id, authorId: users.id, title: users.name }).from(users))
      .toSQL().sql,
  )
  return { reads, others }
}

interface Tables {
  person: { id: number; first_name: string; age: number | null; created_at: Date; tags: unknown }
  pet: { id: number; name: string; owner_id: number; species: string }
}

function kyselyTexts(): OrmTexts {
  const db = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (each) => new PostgresIntrospector(each),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
  type People = ReturnType<typeof people>
  const people = () => db.selectFrom('person')
  const same = (query: People): People => query
  const wheres: ((query: People) => People)[] = [
    same,
    (query) => query.where('id', '=', 1),
    (query) => query.where('first_name', 'like', 'a%').where('age', 'is not', null),
    (query) => query.where('id', 'in', [1, 2]),
    (query) => query.where(({ eb, or }) => or([eb('age', '>', 1), eb('first_name', 'ilike', '%x')])),
    (query) =>
      query.where(({ exists, selectFrom }) =>
        exists(selectFrom('pet').select('pet.id').whereRef('pet.owner_id', '=', 'person.id')),
      ),
    (query) => query.where((eb) => eb.not(eb.between('age', 1, 2))),
    (query) => query.where((eb) => eb('id', '=', eb.fn.any(raw<number[]>`${[1, 2]}::int[]`))),
    (query) => query.where('id', 'in', (eb) => eb.selectFrom('pet').select('owner_id')),
  ]
  const selections: ((query: People) => { compile(): { sql: string } })[] = [
    (query) => query.selectAll(),
    (query) => query.select(['id', 'first_name as name']).orderBy('id', 'desc').limit(3).offset(2),
    (query) => query.select('id').distinctOn('first_name').orderBy('first_name'),
    (query) =>
      query
        .select(({ fn }) => [
          fn.countAll().as('n'),
          fn.max('age').as('oldest'),
          fn.coalesce('age', raw<number>`0`).as('a'),
        ])
        .groupBy('age'),
    (query) => query.innerJoin('pet', 'pet.owner_id', 'person.id').selectAll('pet').select('person.id as p'),
    (query) =>
      query
        .leftJoin(
          (eb) => eb.selectFrom('pet').selectAll().as('p'),
          (join) => join.onRef('p.owner_id', '=', 'person.id'),
        )
        .select('p.name'),
    (query) =>
      query
        .leftJoinLateral(
          (eb) => eb.selectFrom('pet').select('name').whereRef('pet.owner_id', '=', 'person.id').limit(1).as('l'),
          (join) => join.onTrue(),
        )
        .select('l.name'),
    (query) =>
      query.select((eb) => [
        eb.fn
          .agg<number>('row_number')
          .over((o) => o.partitionBy('age').orderBy('id'))
          .as('r'),
        eb.fn.count('id').filterWhere('age', '>', 1).as('c'),
      ]),
    (query) => query.select((eb) => eb.case().when('age', '>', 18).then('old').else('young').end().as('kind')),
    (query) => query.select((eb) => eb.cast<string>('age', 'varchar(10)').as('text')).modifyEnd(raw`offset 0`),
    (query) => query.select('id').union(db.selectFrom('pet').select('id')).intersect(db.selectFrom('pet').select('id')),
    (query) => query.select(raw`to_char(created_at, 'YYYY')`.as('year')).fetch(5),
    (query) =>
      query.select((eb) =>
        eb
          .ref('tags', '->>')
          .key('x' as never)
          .as('x'),
      ),
    (query) =>
      db
        .with('a', () => query.selectAll())
        .with('b', (eb) => eb.selectFrom('a').select('id'))
        .selectFrom('b')
        .selectAll(),
    (query) =>
      db
        .with('a(id)', () => query.select('id'))
        .selectFrom('a')
        .select('id'),
    (query) =>
      db
        .withRecursive('t(n)', (eb) =>
          eb
            .selectFrom(query.select('id').as('s'))
            .select('s.id as n')
            .unionAll(eb.selectFrom('t').select((x) => x('n', '+', 1).as('n'))),
        )
        .selectFrom('t')
        .select('n'),
  ]
  const locks: ((query: People) => { compile(): { sql: string } })[] = [
    (query) => query.selectAll().forUpdate(),
    (query) => query.selectAll().forNoKeyUpdate().skipLocked(),
    (query) => query.selectAll().forShare('person').noWait(),
    (query) => query.selectAll().forKeyShare(),
    (query) => query.select(raw`nextval('s')`.as('n')),
    (query) =>
      db
        .with('gone', (eb) => eb.deleteFrom('pet').returning('id'))
        .selectFrom(query.selectAll().as('p'))
        .selectAll(),
    (query) => db.insertInto('pet').columns(['id']).expression(query.select('id')),
    (query) => db.deleteFrom('pet').where('owner_id', 'in', query.select('id')).returningAll(),
    (query) =>
      db
        .updateTable('pet')
        .set({ name: 'x; commit' })
        .from(query.selectAll().as('p'))
        .whereRef('p.id', '=', 'pet.owner_id'),
    (query) =>
      db
        .mergeInto('pet')
        .using(query.selectAll().as('p'), 'p.id', 'pet.owner_id')
        .whenMatched()
        .thenDelete()
        .whenNotMatched()
        .thenDoNothing(),
  ]
  const compile = (makers: typeof selections): string[] =>
    wheres.flatMap((where) => makers.map((make) => make(where(people())).compile().sql))
  const schema = [
    db.schema
      .createTable('t')
      .addColumn('id', 'serial', (c) => c.primaryKey())
      .addColumn('n', 'varchar(10)'),
    db.schema.alterTable('t').addColumn('m', 'integer'),
    db.schema.createIndex('i').unique().on('t').column('n'),
    db.schema.dropTable('t').ifExists(),
    db.schema.createView('v').as(people().selectAll()),
  ].map((each) => each.compile().sql)
  return { reads: compile(selections), others: [...compile(locks), ...schema] }
}

async function typeormTexts(): Promise<OrmTexts> {
  interface Person {
    id: number
    name: string
    age: number
    pets: Pet[]
  }
  interface Pet {
    id: number
    name: string
    owner: Person
  }
  const person = new EntitySchema<Person>({
    name: 'Person',
    columns: {
      id: { type: Number, primary: true, generated: true },
      name: { type: String, length: 20 },
      age: { type: Number, nullable: true },
    },
    relations: { pets: { type: 'one-to-many', target: 'Pet', inverseSide: 'owner' } },
  })
  const pet = new EntitySchema<Pet>({
    name: 'Pet',
    columns: { id: { type: Number, primary: true, generated: true }, name: { type: String } },
    relations: { owner: { type: 'many-to-one', target: 'Person', inverseSide: 'pets', joinColumn: true } },
  })
  const source = new DataSource({ type: 'postgres', entities: [person, pet] })
  await (source as unknown as { buildMetadatas(): Promise<void> }).buildMetadatas()
  const people = (): SelectQueryBuilder<Person> => source.getRepository(person).createQueryBuilder('p')
  type Step = (query: SelectQueryBuilder<Person>) => SelectQueryBuilder<Person>
  const joins: Step[] = [
    (query) => query,
    (query) => query.leftJoinAndSelect('p.pets', 'pet'),
    (query) => query.innerJoin('p.pets', 'pet', "pet.name <> ''"),
  ]
  const wheres: Step[] = [
    (query) => query,
    (query) => query.where('p.id = :id', { id: 1 }),
    (query) => query.where('p.name ILIKE :name and p.age between :a and :b', { name: 'a%', a: 1, b: 2 }),
    (query) => query.where('p.id IN (:...ids)', { ids: [1, 2, 3] }),
    (query) => query.whereInIds([1, 2]),
    (query) =>
      query.where(
        (inner) => `p.id IN ${inner.subQuery().select('o.id').from(person, 'o').where('o.age > 3').getQuery()}`,
      ),
    (query) => query.where('lower(p.name) = :n', { n: 'x' }).orWhere("p.name = 'a; commit'"),
  ]
  const ends: Step[] = [
    (query) => query,
    (query) => query.orderBy('p.id', 'DESC').limit(3).offset(1),
    (query) =>
      query.select('COUNT(*)', 'count').addSelect('MAX(p.age)', 'oldest').groupBy('p.name').having('COUNT(*) > 1'),
    (query) => query.select(['p.id', 'p.name']).distinct(true),
    (query) => query.addCommonTableExpression('select 1 as one', 'cte'),
    (query) => query.distinctOn(['p.name']),
  ]
  const locks: Step[] = [
    (query) => query.setLock('pessimistic_write'),
    (query) => query.setLock('pessimistic_read'),
    (query) => query.setLock('for_no_key_update'),
  ]
  const texts = (...steps: Step[][]): string[] =>
    [...combinations(...(steps as [Step[]]))].map(
      (each) => each.reduce((query, step) => step(query), people()).getQueryAndParameters()[0],
    )
  const writes = wheres
    .slice(1, 4)
    .flatMap((where) => [
      where(people()).delete().getQueryAndParameters()[0],
      where(people()).update().set({ name: 'x' }).returning('*').getQueryAndParameters()[0],
    ])
  const insert = people()
    .insert()
    .into(person)
    .values([{ name: 'a' }, { name: 'b' }])
  return {
    reads: texts(joins, wheres, ends),
    others: [
      ...writes,
      ...wheres.flatMap((where) => locks.map((lock) => lock(where(people())).getQueryAndParameters()[0])),
      insert.getQueryAndParameters()[0],
      insert.orUpdate(['name'], ['id']).getQueryAndParameters()[0],
    ],
  }
}

/** The texts of the three ORMs, each once. */
export async function textsOfOrms(): Promise<OrmTexts> {
  const all = [drizzleTexts(), kyselyTexts(), await typeormTexts()]
  return {
    reads: [...new Set(all.flatMap(({ reads }) => reads))],
    others: [...new Set(all.flatMap(({ others }) => others))],
  }
}
