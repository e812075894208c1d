import { describe, expect, test, vi } from 'vitest'
import type { PoolOptions, ResetPolicy } from '../../../packages/core/src/options/pool-options.ts'
import { type Call, EngineFixture } from './engine-fixture.ts'

const told = (rig: EngineFixture, type: string): unknown[] => rig.events.filter((event) => event.type === type)

/** Somebody who leaves a transaction open. */
async function begun(rig: EngineFixture, resetOnReturn?: ResetPolicy): Promise<Call> {
  const call = rig.call({ resetOnReturn })
  await rig.clock.advance(0)
  void call.leased.client.query('begin')
  await rig.clock.advance(0)
  return call
}

describe('a release', () => {
  test.each([{ discard: undefined }, { discard: true }, { discard: new Error('unwell') }])(
    'is told with how long the lease was, and what the holder said: $discard',
    async ({ discard }) => {
      using rig = new EngineFixture()
      await rig.clock.advance(1000)
      const call = await rig.lease()
      await rig.clock.advance(300)
      call.release(discard)
      expect(told(rig, 'connection-released')).toMatchObject([{ heldMillis: 300, discard, wasOverdue: false }])
    },
  )

  test('in whose listener the connection dies is no error', async () => {
    using rig = new EngineFixture({ max: 1 })
    const call = await rig.lease()
    rig.publisher.subscribe(({ type }) => {
      if (type === 'connection-released') rig.server.backend(1).terminate()
    })
    call.release()
    expect(rig.retired).toEqual(['1 lost'])
    expect((await rig.lease()).leased.id).toBe(2)
  })
})

describe('a reset', () => {
  test('is told with what was sent, and how long it took', async () => {
    using rig = new EngineFixture()
    await rig.clock.advance(100)
    const call = await begun(rig)
    const backend = rig.server.backend(1)
    backend.silent = true
    call.release()
    await rig.clock.advance(40)
    backend.answer()
    await rig.clock.advance(0)
    expect(told(rig, 'connection-reset')).toMatchObject([{ by: 'ROLLBACK', tookMillis: 40 }])
  })

  test('that had nothing to send is not told', async () => {
    using rig = new EngineFixture()
    const call = await rig.lease()
    const backend = rig.server.backend(1)
    backend.silent = true
    void call.leased.client.query('select 1')
    call.release()
    backend.answer()
    await rig.clock.advance(0)
    expect(rig.counts.idle).toBe(1)
    expect(told(rig, 'connection-reset')).toEqual([])
  })

  test("follows the holder's own wish, and that of the pool for the next one", async () => {
    using rig = new EngineFixture({ resetOnReturn: 'rollback' })
    ;(await begun(rig, 'commit')).release()
    await rig.clock.advance(0)
    ;(await begun(rig)).release()
    await rig.clock.advance(0)
    expect(rig.server.received).toEqual(['begin', 'COMMIT', 'begin', 'ROLLBACK'])
  })

  test('that is condemned while it runs is not told, and its connection goes', async () => {
    using rig = new EngineFixture({ max: 1 })
    const call = await begun(rig)
    const backend = rig.server.backend(1)
    backend.silent = true
    call.release()
    backend.answer()
    backend.terminate()
    await rig.clock.advance(0)
    expect(told(rig, 'connection-reset')).toEqual([])
    expect(rig.retired).toEqual(['1 lost'])
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 7])(
    'is not told of a connection that died, %i ticks after its answer',
    async (ticks) => {
      using rig = new EngineFixture()
      const call = await begun(rig)
      const backend = rig.server.backend(1)
      backend.silent = true
      call.release()
      backend.answer()
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
      backend.terminate()
      await rig.clock.advance(0)
      const order = rig.events.map(({ type }) => type).filter((type) => /connection-(?:reset|retired)/.test(type))
      expect(order.join()).not.toContain('connection-retired,connection-reset')
      expect(rig.counts.total).toBe(0)
    },
  )

  test.each(['session', 'discard'] as const)("by '%s' does again what the hook had set", async (resetOnReturn) => {
    const onConnect = vi.fn()
    using rig = new EngineFixture({ resetOnReturn }, { onConnect })
    ;(await begun(rig)).release()
    await rig.clock.advance(0)
    expect(onConnect).toHaveBeenCalledTimes(2)
    expect(rig.counts.idle).toBe(1)
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
  ] as const)("is ended under '$resetOnReturn' before anybody gets the connection", async ({ resetOnReturn, sent }) => {
    using rig = new EngineFixture({ resetOnReturn }, { onConnect })
    const call = await rig.lease()
    expect(rig.server.received).toEqual(sent)
    expect(call.leased.transactionStatus).toBe('I')
  })

  test("is the end of the connection under 'none', and whoever waits is told why", async () => {
    using rig = new EngineFixture({ resetOnReturn: 'none' }, { onConnect })
    const call = rig.call()
    await rig.clock.advance(0)
    expect(call.error?.message).toBe("Released with an open transaction, under resetOnReturn: 'none'")
    expect(rig.counts.total).toBe(0)
    expect(rig.server.backend(1).isOpen).toBe(false)
  })
})
