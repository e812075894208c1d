import { describe, expect, test } from 'vitest'
import { readSql } from '../../../packages/core/src/sql/statement.ts'

const readsOf = (text: string): boolean => readSql(text).isRead

describe('a plain read', () => {
  test.each([
    'select 1',
    'SELECT count(*), Coalesce(a, b) FROM t;',
    'table t',
    'values (1, now())',
    'with a (b) as (select 1) select * from a',
    'select "id" from "users" as "u" where "id" in ($1, $2) and exists (select 1)',
    'select pg_catalog.upper(a), PG_CATALOG.lower(b), "pg_catalog"."abs"(c) from t',
    "select extract(epoch from a), trim(both 'x' from b), substring(c from 1 for 2) from t",
    'select a::numeric(10, 2), cast(b as varchar(10)), c::character varying(3), d::"my type"(3) from t',
    'select count(*) filter (where a) over (partition by b order by c) from t',
    'select percentile_cont(0.5) within group (order by a) from t group by grouping sets ((b), ())',
    'select * from a join (select 1) b on true left join lateral (select 2) c on true',
    'select * from generate_series(1, 2) g(n), unnest($1::int[]) with ordinality t(a, b)',
    'select distinct on (a) upper(b) from t',
    'select * from t where a like ($1) and b not ilike (c || $2)',
    "select 'a\\b', upper('\\')",
    'select \'f(1)\', "f(1)", $$f(1)$$ /* f(1) */ -- f(1)',
  ])('a plain read is %s', (text) => {
    expect(readsOf(text)).toBe(true)
  })

  test.each([
    'select nextval($1)',
    'select pg_sleep(1)',
    "select pg_notify('a', 'b')",
    'select random()',
    'select f(1)',
    'select public.upper(a) from t',
    'select db.pg_catalog.upper(a) from t',
    'select "Upper"(a), "coalesce"(b) from t',
    'select (a).f(1) from t',
    'select distinct on (a) f(b) from t',
    'select distinct on (a) over(b) from t',
    'with a as (select 1) (select 1) order by 1, f(2)',
    'with a(b) as (select f(1)) select * from a',
    'select * from t where f(a)',
    'select a::f(1) from t, f(1)',
    'select a operator(public.+) b from t',
    'select * from t for update',
    'select * from t for no key update',
    'select * from (select 1 from t for key share) a',
    'select 1 into a',
    'with a as (delete from t returning *) select * from a',
    'insert into a values (1)',
    'explain select 1',
    'explain analyze select 1',
    'show all',
    'execute a',
    'fetch 1 from a',
    'copy (select 1) to stdout',
    'select 1; select 2',
    '',
    "select '\\', f(1), '\\''", // With either setting something is wrong with it.
    "select '\\', f(1), '' || '\\'",
    'select 1 /*',
  ])('no plain read is %s', (text) => {
    expect(readsOf(text)).toBe(false)
  })
})

describe('the functions that keep a SELECT from being a plain read', () => {
  test.each<[string, readonly object[] | undefined]>([
    ['select 1', []],
    ['select upper(a)', []],
    ['select f(1), F(2), public.f(3), "F"(4)', [{ name: 'f' }, { schema: 'public', name: 'f' }, { name: 'F' }]],
    ['select f(g(h(1)))', [{ name: 'f' }, { name: 'g' }, { name: 'h' }]],
    ['select "a""b"(1)', [{ name: 'a"b' }]],
    ['select nextval(a) from b', [{ name: 'nextval' }]],
    ['select f(1) from t for update', undefined],
    ['update t set a = f(1)', undefined],
    ['select f(1); select 2', undefined],
  ])('the functions that keep %s from being a plain read are %o', (text, functions) => {
    expect(readSql(text).otherFunctions).toEqual(functions)
  })
})
