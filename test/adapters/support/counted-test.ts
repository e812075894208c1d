import { test as base } from '../../faults/support/aimed-test.ts'

const SET_UP = `
  create sequence if not exists runs;
  alter sequence runs restart;
  create or replace view counted as select nextval('runs')::text as id;
  grant all on runs, counted to app;`

/**
 * A test with a view that counts, in `runs()`, how often it was read. It counts by a sequence, which a failed statement
 * doesn't reset.
 */
export const test = base.extend('runs', async ({ cluster }) => {
  await cluster.withAdmin((admin) => admin.query(SET_UP))
  return async (): Promise<number> => {
    const [row] = await cluster.query<{ last: string; called: boolean }>(
      'select last_value as last, is_called as called from runs',
    )
    return row?.called ? Number(row.last) : 0
  }
})

/** Where a statement is lost, how, and how often it has run after it was sent again. */
export const LOSSES = [
  ['before it has reached the server', 'before-forward', 'rst', 1],
  ['after it has run, by RST', 'on-reply', 'rst', 2],
  ['after it has run, by FIN', 'on-reply', 'fin', 2],
] as const
