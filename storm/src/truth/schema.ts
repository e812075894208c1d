import type { Ground } from '../ground/ground.ts'
import { SETTINGS } from '../settings.ts'

/** Creates what the service works on. The keys have no unique index: a write done twice must be seen, not prevented. */
export async function createSchema(ground: Ground): Promise<void> {
  const { schema } = ground
  await ground.query(`
    create schema ${schema};
    create table ${schema}.account (id int primary key, balance int not null);
    create table ${schema}.ledger (
      key text not null, phase int not null, debited int not null, credited int not null, amount int not null);
    create table ${schema}.entry (key text not null, phase int not null);
    create index on ${schema}.ledger (phase);
    create index on ${schema}.entry (phase);
    insert into ${schema}.account
      select id, ${SETTINGS.openingBalance} from generate_series(0, ${SETTINGS.accountsPerMover * SETTINGS.movers - 1}) id;
    analyze ${schema}.account`)
}

/** Removes all of it. */
export async function dropSchema(ground: Ground): Promise<void> {
  await ground.query(`drop schema if exists ${ground.schema} cascade`)
}
