import { ConnectionLostError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import type { Link } from '../support/index.ts'
import { Application } from './support/application.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, WAYS, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const SIZE = 3
const DIRECTIONS = ['to-client', 'to-server'] as const

describe.each(DIRECTIONS)('one byte of a TLS record is changed, %s', (direction) => {
  test('stock pg.Pool: a corrupted TLS record ends the process', async ({ proxy, proxied }) => {
    await using application = await Application.start('stock', proxied)
    await application.listen()
    await application.connect()
    const corrupted = proxy.corrupt(direction)
    // Whether the statement is answered first depends on the direction; the end is the same.
    const statement = application.clientQuery('select pg_sleep(0)').catch(() => {})
    expect(await corrupted).toHaveLength(1)
    await statement
    expect(await application.ends()).toMatchObject({ code: 1, stderr: expect.stringContaining("'error' event") })
  })

  test('Holdfast: the process lives on without a listener after a corrupted TLS record', async ({ proxy, proxied }) => {
    await using application = await Application.start('holdfast', proxied)
    await application.connect()
    const corrupted = proxy.corrupt(direction)
    const error = await rejection(application.clientQuery('select pg_sleep(0)'))
    expect(await corrupted).toHaveLength(1)
    expect(error).toMatchObject({ name: 'ConnectionLostError', phase: 'query', sent: true })
    expect(await application.query('select 1 as one')).toEqual([{ one: 1 }])
    await application.release()
    await application.end()
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  test.for(WAYS)(
    'Holdfast: only the caller of that statement learns of a corrupted TLS record, through $way',
    async ({ run }, { cluster, proxy, proxied }) => {
      await using pool = holdfast({ ...proxied, max: SIZE, prePing: { idleMillis: 60_000 } })
      const oldPids = await warmUp(pool, SIZE)
      const victim = proxy.links[0] as Link
      const corrupted = victim.corrupt(direction)

      const statements = Array.from({ length: 5 * SIZE }, () => run(pool, 'select pg_sleep(0.01)'))
      const results = await settles(Promise.allSettled(statements), 'the statements')

      expect(await corrupted).toBe(true)
      const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
      expect(errors).toHaveLength(1)
      expect(errors[0]).toBeInstanceOf(ConnectionLostError)
      expect(errors[0]).toMatchObject({
        phase: 'query',
        sent: true,
        commitOutcome: 'unknown',
        cause: expect.any(Error),
      })
      // The others answer a ping, and are kept.
      const kept = (await warmUp(pool, SIZE)).filter((pid) => oldPids.includes(pid))
      expect(kept).toHaveLength(SIZE - 1)
      await expectHealthy(pool, cluster, proxied.application_name)
    },
  )
})
