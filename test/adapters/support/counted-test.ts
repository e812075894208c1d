import { test as base } from '../../faults/support/aimed-test.ts'

const SET_UP = `
  create sequence if not exists runs;
  alter sequence runs restart;
  create or replace view counted as select nextval('runs')::text as id;
  grant all on runs, counted to app;`

/**
 * A test with a view that counts, in `runs()`, how often it was read: what a sequence has counted stays counted, whatever
 * becomes of the statement.
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
