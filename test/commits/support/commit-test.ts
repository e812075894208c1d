import { test as base } from 'vitest'
import { Cluster } from '../../support/index.ts'

/**
 * The table that the ORMs know, but without its key: what is written twice must be seen, not refused. A transaction with
 * `set local test.waits = 'on'` is carried out when it has slept for longer than any test waits.
 */
const TABLES = `create table entry (id text);
  grant all on entry to app;
  create function wait() returns trigger language plpgsql as $$
    begin
      if current_setting('test.waits', true) = 'on' then perform pg_sleep(600); end if;
      return null;
    end $$;
  create constraint trigger waits after insert on entry deferrable initially deferred for each row execute function wait()`

let lastName = 0

/** A test with a real server, one per file. */
export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    await cluster.query(TABLES)
    return cluster
  })
  .extend('applicationName', () => `commit-test-${++lastName}`)
