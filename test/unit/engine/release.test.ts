import { describe, expect, test, vi } from 'vitest'
import type { PoolOptions, ResetPolicy } from '../../../packages/core/src/options/pool-options.ts'
import { type Acquisition, EngineFixture } from './engine-fixture.ts'

/** A lease with an open transaction. */
async function begun(fixture: EngineFixture, resetOnReturn?: ResetPolicy): Promise<Acquisition> {
  const call = fixture.acquire({ resetOnReturn })
  await fixture.clock.advance(0)
  void call.leased.client.query('begin')
  await fixture.clock.advance(0)
  return call
}

describe('a release', () => {
  test.each([{ discard: undefined }, { discard: true }, { discard: new Error('unwell') }])(
    'a release is published with the duration of the lease, and what the holder passed: $discard',
    async ({ discard }) => {
      using fixture = new EngineFixture()
      await fixture.clock.advance(1000)
      const call = await fixture.lease()
      await fixture.clock.advance(300)
      call.release(discard)
      expect(fixture.eventsOf('connection-released')).toMatchObject([{ heldMillis: 300, discard, wasOverdue: false }])
    },
  )

  test('a release is no error if the connection dies in its listener', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await fixture.lease()
    fixture.publisher.subscribe(({ type }) => {
      if (type === 'connection-released') fixture.server.backend(1).terminate()
    })
    call.release()
    expect(fixture.retired).toEqual(['1 lost'])
    expect((await fixture.lease()).leased.id).toBe(2)
  })
})

describe('a reset', () => {
  test('a reset is published with what was sent, and how long it took', async () => {
    using fixture = new EngineFixture()
    await fixture.clock.advance(100)
    const call = await begun(fixture)
    const backend = fixture.server.backend(1)
    backend.silent = true
    call.release()
    await fixture.clock.advance(40)
    backend.answer()
    await fixture.clock.advance(0)
    expect(fixture.eventsOf('connection-reset')).toMatchObject([{ by: 'ROLLBACK', tookMillis: 40 }])
  })

  test('a reset is not published if it had nothing to send', async () => {
    using fixture = new EngineFixture()
    const call = await fixture.lease()
    const backend = fixture.server.backend(1)
    backend.silent = true
    void call.leased.client.query('select 1')
    call.release()
    backend.answer()
    await fixture.clock.advance(0)
    expect(fixture.counts.idle).toBe(1)
    expect(fixture.eventsOf('connection-reset')).toEqual([])
  })

  test("a reset follows the holder's own policy, and that of the pool for the next holder", async () => {
    using fixture = new EngineFixture({ resetOnReturn: 'rollback' })
    ;(await begun(fixture, 'commit')).release()
    await fixture.clock.advance(0)
    ;(await begun(fixture)).release()
    await fixture.clock.advance(0)
    expect(fixture.server.received).toEqual(['begin', 'COMMIT', 'begin', 'ROLLBACK'])
  })

  test('a reset is not published if the connection dies while it runs', async () => {
    using fixture = new EngineFixture({ max: 1 })
    const call = await begun(fixture)
    const backend = fixture.server.backend(1)
    backend.silent = true
    call.release()
    backend.answer()
    backend.terminate()
    await fixture.clock.advance(0)
    expect(fixture.eventsOf('connection-reset')).toEqual([])
    expect(fixture.retired).toEqual(['1 lost'])
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 7])(
    'a reset is not published if the connection died %i ticks after its answer',
    async (ticks) => {
      using fixture = new EngineFixture()
      const call = await begun(fixture)
      const backend = fixture.server.backend(1)
      backend.silent = true
      call.release()
      backend.answer()
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
      backend.terminate()
      await fixture.clock.advance(0)
      const order = fixture.events.map(({ type }) => type).filter((type) => /connection-(?:reset|retired)/.test(type))
      expect(order.join()).not.toContain('connection-retired,connection-reset')
      expect(fixture.counts.total).toBe(0)
    },
  )

  test.each(['session', 'discard'] as const)("a reset by '%s' runs the hook again", async (resetOnReturn) => {
    const onConnect = vi.fn()
    using fixture = new EngineFixture({ resetOnReturn }, { onConnect })
    ;(await begun(fixture)).release()
    await fixture.clock.advance(0)
    expect(onConnect).toHaveBeenCalledTimes(2)
    expect(fixture.counts.idle).toBe(1)
  })
})

describe('a transaction that a hook leaves open', () => {
  const onConnect: PoolOptions['onConnect'] = async (client) => {
    await client.query('begin')
  }

  test.each([
    { resetOnReturn: 'rollback', sent: ['begin', 'ROLLBACK'] },
    { resetOnReturn: 'commit', sent: ['begin', 'COMMIT'] },
    { resetOnReturn: 'session', sent: ['begin', 'ROLLBACK'] },
    { resetOnReturn: 'discard', sent: ['begin', 'ROLLBACK'] },
  ] as const)(
    "a transaction that a hook leaves open is ended with '$resetOnReturn' before the lease",
    async ({ resetOnReturn, sent }) => {
      using fixture = new EngineFixture({ resetOnReturn }, { onConnect })
      const call = await fixture.lease()
      expect(fixture.server.received).toEqual(sent)
      expect(call.leased.transactionStatus).toBe('I')
    },
  )

  test("a transaction that a hook leaves open retires the connection with 'none', and the waiter is told why", async () => {
    using fixture = new EngineFixture({ resetOnReturn: 'none' }, { onConnect })
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    expect(call.error?.message).toBe("Released with an open transaction, under resetOnReturn: 'none'")
    expect(fixture.counts.total).toBe(0)
    expect(fixture.server.backend(1).isOpen).toBe(false)
  })
})
