import pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'
import { withClient } from './support/observing.ts'

describe.each(LIBRARIES)("$library: a client class of the user's own", ({ open }) => {
  test("a client class of the user's own may know promises only", async ({ direct }) => {
    const counts: unknown[] = []
    class Counting extends pg.Client {
      // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client.
      override async query(...all: any[]): Promise<any> {
        const result = await super.query<pg.QueryResultRow>(...(all as [string]))
        counts.push(result.rowCount)
        return result
      }
    }
    await using pool = open({ ...direct, Client: Counting as never })
    await withClient(pool, async (client) => {
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect(await rejection(client.query('select nonsense'))).toMatchObject({ code: '42703' })
    })
    expect(counts).toEqual([1])
  })
})
