import { describe, expect } from 'vitest'
import { LOSSES, type Place } from '../../faults/support/losses.ts'
import { rejection, settles } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import type { Row, Subject } from '../subject.ts'
import { expectCause, expectLoss } from '../support/causes.ts'
import { contractTest } from '../support/contract-test.ts'
import { busyBackend, expectHealthy } from '../support/health.ts'
import { backendPid, open } from '../support/open.ts'
import { streamOf } from '../support/ways.ts'

/** The first two rows can come at once, the third never does. */
const STALLS = "select n, case when n > 2 then pg_sleep('infinity')::text end as it from generate_series(1, 5) as n"
/** More rows than a driver reads ahead. */
const MANY = 'select n from generate_series(1, 100000) as n'

/** SCENARIOS B6: a stream is open when its connection dies. */
export function describeStreaming(subject: Subject): void {
  if (!subject.can.includes('stream')) return
  const test = contractTest(subject)

  describe('B: an open stream', () => {
    test.for(LOSSES)(
      'B6: the reader of a stream that waits for the next row rejects, and the slot is free, when $loss',
      async ({ code, happen }, { cluster, proxy, proxied, applicationName, place }) => {
        await using database = await open(subject, { ...proxied, max: 1 })
        const failed = rejection(readAll(streamOf(database, STALLS)))
        await busyBackend(place, 'pg_sleep')
        await happen({ cluster, proxy, applicationName })
        expectLoss(await failed, { code, sent: true })
        await allIsWell(database, { cluster, proxy, applicationName })
      },
    )

    test.for(LOSSES)(
      'B6: the slot of a stream is free at once, and a reader that paused rejects with its next row, when $loss',
      async ({ code, happen }, { cluster, proxy, proxied, applicationName }) => {
        await using database = await open(subject, { ...proxied, max: 1 })
        const stream = streamOf(database, MANY)[Symbol.asyncIterator]()
        await stream.next()
        await happen({ cluster, proxy, applicationName })
        await until(() => database.pool.totalCount === 0, { what: 'the pool to notice' })
        expect(await settles(database.run('select 1 as one'), 'the next statement')).toEqual([{ one: 1 }])
        const readOn = async (): Promise<void> => {
          while (!(await stream.next()).done);
        }
        expectLoss(await rejection(readOn()), { code, sent: true })
        await allIsWell(database, { cluster, proxy, applicationName })
      },
    )

    test('B6: the reader of a stream leaves its loop when the connection is dead', async ({
      database,
      cluster,
      applicationName,
      place,
    }) => {
      const leave = async (): Promise<void> => {
        for await (const _ of streamOf(database, MANY)) {
          await cluster.terminateBackends({ applicationName })
          await until(() => database.pool.totalCount === 0, { what: 'the pool to notice' })
          break
        }
      }
      await settles(leave(), 'the end of the loop')
      await expectHealthy(database, place)
    })

    test('B6: a stream releases a healthy connection when its reader leaves early', async ({ database, place }) => {
      const pid = await backendPid(database)
      for await (const _ of streamOf(database, MANY)) break
      expect(await settles(backendPid(database), 'the next statement')).toBe(pid)
      expect(await readAll(streamOf(database, 'select n from generate_series(1, 250) as n'))).toHaveLength(250)
      expect(await backendPid(database)).toBe(pid)
      await expectHealthy(database, place)
    })

    test('B6: a stream rejects with an SQL error between two rows as it is, and keeps the connection', async ({
      database,
      place,
    }) => {
      const pid = await backendPid(database)
      const failed = rejection(
        readAll(streamOf(database, 'select 1 / (250 - n) as it from generate_series(1, 300) as n')),
      )
      expectCause(await failed, { code: '22012' })
      expect(await backendPid(database)).toBe(pid)
      await expectHealthy(database, place)
    })
  })
}

async function readAll(rows: AsyncIterable<Row>): Promise<Row[]> {
  const read: Row[] = []
  for await (const row of rows) read.push(row)
  return read
}

/** The server may still run the statement of a client that is gone. That session is ended first, since it would be counted. */
async function allIsWell(database: Parameters<typeof expectHealthy>[0], { proxy, ...place }: Place): Promise<void> {
  await proxy.heal()
  await place.cluster.terminateBackends({ applicationName: place.applicationName, state: 'active' })
  await expectHealthy(database, place)
}
