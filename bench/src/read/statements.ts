import type { Cluster } from '@holdfast/test/support'

/** How many rows there are to read. */
export const ITEMS = 10_000

/** The ten columns of an item, by name. */
export const COLUMNS = [
  'id',
  'owner_id',
  'kind_id',
  'name',
  'note',
  'price',
  'weight',
  'is_new',
  'made_at',
  'code',
] as const

/** What is read: with one value each. */
export type Statement = 'select $1::int' | 'one row of ten columns' | 'a join of three tables'

/** Three statements that read. */
export const STATEMENTS: Readonly<Record<Statement, string>> = {
  'select $1::int': 'select $1::int as n',
  'one row of ten columns': `select id, owner_id, kind_id, name, note, price, weight, is_new, made_at, code
    from item where id = $1`,
  'a join of three tables': `select item.id, item.name, owner.name as owner, kind.name as kind
    from item join owner on owner.id = owner_id join kind on kind.id = kind_id where item.id = $1`,
}

const TABLES = `create table owner (id int primary key, name text not null);
  create table kind (id int primary key, name text not null);
  create table item (id int primary key, owner_id int not null, kind_id int not null, name text not null, note text,
    price int not null, weight float8 not null, is_new bool not null, made_at timestamptz not null, code text not null)
    with (fillfactor = 50);
  insert into owner select id, 'owner ' || id from generate_series(0, 99) as id;
  insert into kind select id, 'kind ' || id from generate_series(0, 9) as id;
  insert into item select id, id % 100, id % 10, 'item ' || id, null, id, id / 7.0, id % 2 = 0, now(), md5(id::text)
    from generate_series(0, ${ITEMS - 1}) as id;
  analyze owner, kind, item;
  grant all on owner, kind, item to public`

/** Makes the tables that these statements read. */
export async function makeTables(cluster: Cluster): Promise<void> {
  await cluster.withAdmin((admin) => admin.query(TABLES))
}
