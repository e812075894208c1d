import { describe, expect, test } from 'vitest'
import { serverError, systemError } from '../../support/fake-client.ts'
import { type Acquisition, EngineFixture } from './engine-fixture.ts'

const refused = systemError('ECONNREFUSED')

const served = (calls: readonly Acquisition[]): number => calls.filter(({ connection }) => connection).length
const failed = (calls: readonly Acquisition[]): number => calls.filter(({ error }) => error).length

describe('while the server is away', () => {
  test('while the server is away, one opening retries, however many callers wait', async () => {
    using fixture = new EngineFixture({ max: 10 })
    fixture.server.welcome = refused
    const calls = fixture.acquireMany(20)
    await fixture.clock.advance(0)
    expect(fixture.server.backends).toHaveLength(10) // All started before the first had failed.

    await fixture.clock.advance(50)
    expect(fixture.server.backends).toHaveLength(11)
    await fixture.clock.advance(10_000)
    expect(fixture.server.backends.length).toBeLessThan(10 + 53) // 50, 100 ms, then every 200 ms.
    expect(served(calls) + failed(calls)).toBe(0)
  })

  test('while the server is away, later callers also wait for the opening that retries', async () => {
    using fixture = new EngineFixture({ max: 10 })
    fixture.server.welcome = refused
    fixture.acquire()
    await fixture.clock.advance(10)
    fixture.acquireMany(5)
    await fixture.clock.advance(39)
    expect(fixture.server.backends).toHaveLength(1)
  })

  test.each([
    { how: 'refused at once', failure: refused, chance: 0, pauses: [50, 100, 200, 200, 200] },
    { how: 'refused at once', failure: refused, chance: 0.5, pauses: [75, 150, 150, 150] },
    { how: 'closed at once', failure: systemError('ECONNRESET'), chance: 0, pauses: [50, 100, 200, 200] },
    {
      how: 'unroutable',
      failure: systemError('EHOSTUNREACH'),
      chance: 0,
      pauses: [50, 100, 200, 400, 800, 1000, 1000],
    },
    { how: 'unroutable', failure: systemError('EHOSTUNREACH'), chance: 0.5, pauses: [75, 150, 300, 600, 1000, 1000] },
  ])(
    'while the server is $how the pauses between retries double up to a maximum, and vary by chance ($chance)',
    async ({ failure, chance, pauses }) => {
      using fixture = new EngineFixture()
      fixture.clock.chance = chance
      fixture.server.welcome = failure
      fixture.acquire()
      await fixture.clock.advance(0)
      let attempts = 1
      for (const pause of pauses) {
        await fixture.clock.advance(pause - 1)
        expect(fixture.server.backends).toHaveLength(attempts)
        await fixture.clock.advance(1)
        expect(fixture.server.backends).toHaveLength(++attempts)
      }
    },
  )

  test('nothing retries when no caller waits any more', async () => {
    using fixture = new EngineFixture({ connectionTimeoutMillis: 3000 })
    fixture.server.welcome = refused
    const calls = fixture.acquireMany(2)
    await fixture.clock.advance(3000)
    expect(failed(calls)).toBe(2)
    const attempts = fixture.server.backends.length
    await fixture.clock.advance(60_000)
    expect(fixture.server.backends).toHaveLength(attempts)
    expect(fixture.clock.timers('process')).toBe(0)
  })

  test('a caller that comes after the retries have stopped starts a new opening at once', async () => {
    using fixture = new EngineFixture({ connectionTimeoutMillis: 3000 })
    fixture.server.welcome = refused
    fixture.acquire()
    await fixture.clock.advance(3000)
    fixture.server.welcome = 'accept'
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    expect(call.connection).toBeDefined()
  })

  test('a released connection serves the waiters, and the last of them stops the retries', async () => {
    using fixture = new EngineFixture({ max: 2, invalidateOnDisconnect: 'one' })
    const holder = await fixture.lease()
    fixture.server.welcome = refused
    const call = fixture.acquire()
    await fixture.clock.advance(10)
    holder.release()
    expect(call.leased.id).toBe(1)
    await fixture.clock.advance(60_000)
    expect(fixture.server.backends).toHaveLength(2)
  })

  test('a second login begins beside a silent one, and the first that is ready serves', async () => {
    using fixture = new EngineFixture({ connectionTimeoutMillis: 9000 })
    fixture.server.nextWelcomes.push('hang')
    const call = fixture.acquire()
    await fixture.clock.advance(999)
    expect(fixture.server.backends).toHaveLength(1)
    await fixture.clock.advance(1)
    expect(call.leased.id).toBe(2)
    expect(fixture.server.backend(1).isOpen).toBe(false)
  })

  test('an unanswered SYN is followed by another one after 1 s, then after twice as long each time, up to 4 s', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.isReachable = false
    fixture.acquire()
    const begun: number[] = []
    for (let second = 0; second < 29; second++) {
      await fixture.clock.advance(1000)
      if (fixture.server.backends.length > begun.length + 1) begun.push(second + 1)
    }
    expect(begun).toEqual([1, 3, 7, 11, 15, 19, 23, 27])
    expect(fixture.server.backends.filter(({ isOpen }) => isOpen)).toHaveLength(2) // The first, and the last.
  })

  test('a login that has received something may be silent for five seconds', async () => {
    using fixture = new EngineFixture()
    fixture.server.welcome = 'hang'
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    fixture.server.backend(1).utter()
    await fixture.clock.advance(4900)
    expect(fixture.server.backends).toHaveLength(1)
    fixture.server.backend(1).accept()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(1)
  })

  test('a login that has received nothing for five seconds gets another one beside it', async () => {
    using fixture = new EngineFixture()
    fixture.server.nextWelcomes.push('hang')
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    fixture.server.backend(1).utter()
    await fixture.clock.advance(6000)
    expect(call.leased.id).toBe(2)
  })

  test('one login begins beside many silent ones, and takes the place of the first', async () => {
    using fixture = new EngineFixture({ max: 5 })
    fixture.server.welcome = 'hang'
    const calls = fixture.acquireMany(5)
    await fixture.clock.advance(1000)
    expect(fixture.server.backends).toHaveLength(6)
    fixture.server.backend(6).accept()
    await fixture.clock.advance(0)
    expect(served(calls)).toBe(1)
    expect(fixture.server.backend(1).isOpen).toBe(false)
    expect(fixture.server.backends.filter(({ isOpen }) => isOpen)).toHaveLength(6) // And the next beside the second.
  })

  test('the second login is dropped when all silent ones are ready', async () => {
    using fixture = new EngineFixture({ max: 2 })
    fixture.server.welcome = 'hang'
    const calls = fixture.acquireMany(2)
    await fixture.clock.advance(1000)
    fixture.server.backend(1).accept()
    await fixture.clock.advance(0)
    expect(fixture.server.backend(3).isOpen).toBe(true)
    fixture.server.backend(2).accept()
    await fixture.clock.advance(0)
    expect(served(calls)).toBe(2)
    expect(fixture.server.backend(3).isOpen).toBe(false)
    expect(fixture.counts.total).toBe(2)
  })

  test('the second login takes the place of a silent one that fails', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.welcome = 'hang'
    const call = fixture.acquire()
    await fixture.clock.advance(1000)
    fixture.server.backend(1).fail(systemError('ECONNRESET'))
    await fixture.clock.advance(0)
    expect(fixture.counts.total).toBe(1)
    fixture.server.backend(2).accept()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(2)
  })

  test('no second login begins while no caller waits, and one begins at once when a caller comes', async () => {
    using fixture = new EngineFixture({ connectionTimeoutMillis: 900 })
    fixture.server.nextWelcomes.push('hang')
    fixture.acquire()
    await fixture.clock.advance(20_000)
    expect(fixture.server.backends).toHaveLength(1)
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(2)
  })

  test('a login is given up after a minute if no caller waits for it', async () => {
    using fixture = new EngineFixture({ connectionTimeoutMillis: 0 })
    fixture.server.welcome = 'hang'
    const controller = new AbortController()
    fixture.acquire({ signal: controller.signal })
    controller.abort()
    await fixture.clock.advance(59_000)
    expect(fixture.server.backend(1).isOpen).toBe(true)
    await fixture.clock.advance(11_000)
    expect(fixture.server.backend(1).isOpen).toBe(false)
    expect(fixture.counts.total).toBe(0)
  })

  test('a login may take an hour if callers have no deadline', async () => {
    using fixture = new EngineFixture({ connectionTimeoutMillis: 0 })
    fixture.server.welcome = 'hang'
    const call = fixture.acquire()
    await fixture.clock.advance(3_600_000)
    fixture.server.backend(1).accept()
    await fixture.clock.advance(0)
    expect(call.leased.id).toBe(1)
  })

  test('without `connectRetry` no second login begins beside a silent one', async () => {
    using fixture = new EngineFixture({ connectRetry: false })
    fixture.server.welcome = 'hang'
    fixture.acquire()
    await fixture.clock.advance(29_000)
    expect(fixture.server.backends).toHaveLength(1)
  })

  test.each([
    { name: 'starting up', error: serverError('57P03', 'the database system is starting up', 'FATAL') },
    { name: 'full', error: serverError('53300', 'too many clients', 'FATAL') },
    { name: 'unroutable', error: systemError('EHOSTUNREACH') },
    { name: 'closing the socket', error: new Error('Connection terminated unexpectedly') },
  ])('callers wait for a server that is $name', async ({ error }) => {
    using fixture = new EngineFixture()
    fixture.server.nextWelcomes.push(error)
    const call = fixture.acquire()
    await fixture.clock.advance(50)
    expect(call.connection).toBeDefined()
  })
})

test('an idle connection serves a waiter while the server accepts no login', async () => {
  using fixture = new EngineFixture({ max: 2 })
  const holder = await fixture.lease()
  await fixture.clock.advance(5000) // Silent for so long that it must be pinged.
  fixture.server.welcome = 'hang'
  const waiter = fixture.acquire()
  await fixture.clock.advance(0)
  holder.release()
  fixture.server.welcome = systemError('ECONNREFUSED')
  fixture.server.backend(2).fail(systemError('ECONNREFUSED'))
  await fixture.clock.advance(20)
  expect(waiter.leased.id).toBe(1)
})

test.each([0, 1, 2, 3, 4, 5, 6, 7])(
  'a caller that comes %i ticks after a failure does not cause one connection too many',
  async (ticks) => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.nextWelcomes.push(systemError('ECONNREFUSED'))
    fixture.acquire()
    const comeAfter = async (): Promise<void> => {
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
      fixture.acquire()
    }
    fixture.publisher.subscribe(({ type }) => {
      if (type === 'connect-failed') void comeAfter()
    })
    await fixture.clock.advance(1000)
    expect(fixture.counts).toEqual({ total: 1, idle: 0, waiting: 1 })
  },
)

describe('once the server is back', () => {
  test('the pace of new connections doubles with each success once the server is back', async () => {
    using fixture = new EngineFixture({ max: 20 })
    fixture.server.nextWelcomes.push(refused)
    fixture.acquire()
    await fixture.clock.advance(0)
    const calls = fixture.acquireMany(15)
    fixture.server.welcome = 'hang'
    await fixture.clock.advance(50)

    const triedAtOnce: number[] = []
    for (let before = 1; before < fixture.server.backends.length; ) {
      const fresh = fixture.server.backends.slice(before)
      before = fixture.server.backends.length
      triedAtOnce.push(fresh.length)
      for (const backend of fresh) backend.accept()
      await fixture.clock.advance(0)
    }
    expect(triedAtOnce.slice(0, 2)).toEqual([1, 2])
    expect(served(calls)).toBe(15)
  })

  test('waiters are served in order of arrival once the server is back', async () => {
    using fixture = new EngineFixture({ max: 1 })
    fixture.server.nextWelcomes.push(refused)
    const calls = fixture.acquireMany(3)
    await fixture.clock.advance(50)
    expect(calls.map(({ connection }) => connection?.id)).toEqual([2, undefined, undefined])
  })
})

test('the pace of new connections also begins at one after an invalidation', async () => {
  using fixture = new EngineFixture({ max: 8 })
  await fixture.fill(8)
  fixture.server.welcome = 'hang'
  fixture.engine.invalidate()
  fixture.acquireMany(8)
  await fixture.clock.advance(0)
  expect(fixture.server.backends).toHaveLength(9)
})

test('connections are opened side by side while nothing is wrong', () => {
  using fixture = new EngineFixture({ max: 8 })
  fixture.acquireMany(8)
  expect(fixture.server.backends).toHaveLength(8)
})

describe('a final error', () => {
  test.each([
    { name: 'wrong password', error: serverError('28P01', 'password authentication failed', 'FATAL') },
    { name: 'unknown database', error: serverError('3D000', 'database "app" does not exist', 'FATAL') },
    { name: 'bad certificate', error: systemError('CERT_HAS_EXPIRED') },
    { name: 'unknown host', error: systemError('ENOTFOUND') },
  ])('a final error ($name) reaches every waiter at once, with the address that was tried', async ({ error }) => {
    using fixture = new EngineFixture({ max: 2 })
    fixture.server.welcome = error
    const calls = fixture.acquireMany(5)
    await fixture.clock.advance(0)
    expect(failed(calls)).toBe(5)
    expect(calls[4]?.error).toMatchObject({
      name: 'ConnectError',
      code: error.code,
      cause: error,
      endpoint: { host: 'db.example', port: 5432, database: 'app' },
    })
    expect(calls[4]?.error?.message).toContain('db.example:5432')
    await fixture.clock.advance(60_000)
    expect(fixture.server.backends).toHaveLength(2)
  })

  test('a final error ends the retries when the server is back and refuses', async () => {
    using fixture = new EngineFixture()
    fixture.server.nextWelcomes.push(refused)
    fixture.server.welcome = serverError('28P01', 'password authentication failed', 'FATAL')
    const calls = fixture.acquireMany(1)
    await fixture.clock.advance(50)
    expect(calls[0]?.error?.code).toBe('28P01')
  })

  test('a final error does not reach a caller that comes later', async () => {
    using fixture = new EngineFixture()
    fixture.server.nextWelcomes.push(serverError('28P01', 'password authentication failed', 'FATAL'))
    fixture.acquire()
    await fixture.clock.advance(0)
    expect((await fixture.lease()).connection).toBeDefined()
  })
})

describe('what a hook throws', () => {
  test('an error of a hook reaches the waiter unchanged, and the connection is closed', async () => {
    const mistake = new Error('SET failed')
    using fixture = new EngineFixture({}, { onConnect: () => Promise.reject(mistake) })
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    expect(call.error).toBe(mistake)
    expect(fixture.server.backend(1).isOpen).toBe(false)
    expect(fixture.counts.total).toBe(0)
  })

  test('an error of verify reaches the waiter unchanged', async () => {
    const mistake = new Error('not ours')
    using fixture = new EngineFixture({}, { verify: (_client, done) => done(mistake) })
    const call = fixture.acquire()
    await fixture.clock.advance(0)
    expect(call.error).toBe(mistake)
  })
})

test('a hook that never ends is given up early enough for another connection', async () => {
  let calls = 0
  using fixture = new EngineFixture(
    { connectionTimeoutMillis: 10_000 },
    { onConnect: () => (++calls === 1 ? new Promise(() => {}) : undefined) },
  )
  const call = fixture.acquire()
  await fixture.clock.advance(9999)
  expect(call.leased.id).toBe(2)
})

test('a hook is awaited before the connection is leased', async () => {
  let finish: (() => void) | undefined
  using fixture = new EngineFixture(
    {},
    {
      onConnect: () =>
        new Promise<void>((resolve) => {
          finish = resolve
        }),
    },
  )
  const call = fixture.acquire()
  await fixture.clock.advance(100)
  expect(call.connection).toBeUndefined()
  finish?.()
  await fixture.clock.advance(0)
  expect(call.connection).toBeDefined()
})

describe('connectRetry', () => {
  test('with 2 retries allowed, 2 are made, then the error reaches every waiter', async () => {
    using fixture = new EngineFixture({ max: 1, connectRetry: { retries: 2 } })
    fixture.server.welcome = refused
    const calls = fixture.acquireMany(3)
    await fixture.clock.advance(149)
    expect(failed(calls)).toBe(0)
    await fixture.clock.advance(1)
    expect(fixture.server.backends).toHaveLength(3)
    expect(calls.map(({ error }) => error?.code)).toEqual(['ECONNREFUSED', 'ECONNREFUSED', 'ECONNREFUSED'])
  })

  test('without retries each waiter gets the error of its own attempt', async () => {
    using fixture = new EngineFixture({ max: 1, connectRetry: false })
    fixture.server.nextWelcomes.push(refused)
    const [first, second] = fixture.acquireMany(2)
    await fixture.clock.advance(0)
    expect(first?.error?.code).toBe('ECONNREFUSED')
    expect(second?.connection).toBeDefined()
  })

  test('without retries every waiter gets a final error', async () => {
    using fixture = new EngineFixture({ max: 1, connectRetry: false })
    fixture.server.nextWelcomes.push(serverError('28P01', 'password authentication failed', 'FATAL'))
    const calls = fixture.acquireMany(2)
    await fixture.clock.advance(0)
    expect(failed(calls)).toBe(2)
  })
})

test('an unknown host name is retried if it has worked before', async () => {
  using fixture = new EngineFixture({ max: 2 })
  await fixture.lease()
  fixture.server.nextWelcomes.push(systemError('ENOTFOUND'))
  const call = fixture.acquire()
  await fixture.clock.advance(50)
  expect(call.connection).toBeDefined()
})

describe('one connection more is refused for good, and others are open', () => {
  const wrongPassword = systemError('28P01')

  test('an open connection serves every waiter, one after the other, while another one is refused for good', async () => {
    using fixture = new EngineFixture({ max: 2 })
    const first = await fixture.lease()
    fixture.server.welcome = wrongPassword
    const calls = fixture.acquireMany(3)
    await fixture.clock.advance(0)
    expect(calls.map(({ error }) => error)).toEqual([undefined, undefined, undefined])
    for (const each of [first, ...calls]) {
      each.release()
      await fixture.clock.advance(0)
    }
    expect(served(calls)).toBe(3)
  })

  test('a connection that is refused for good is tried again at a pace, and no waiter is told while another one is open', async () => {
    using fixture = new EngineFixture({ max: 2, connectRetry: { minTimeout: 50, maxTimeout: 1000, randomize: false } })
    await fixture.lease()
    fixture.server.welcome = wrongPassword
    fixture.acquire()
    await fixture.clock.advance(10_000)
    expect(fixture.server.backends.length).toBeLessThan(20)
    expect(fixture.counts.waiting).toBe(1)
  })

  test('every waiter is refused for good once the last connection is gone', async () => {
    using fixture = new EngineFixture({ max: 2 })
    const first = await fixture.lease()
    fixture.server.welcome = wrongPassword
    const calls = fixture.acquireMany(3)
    await fixture.clock.advance(0)
    first.release(true)
    await fixture.clock.advance(5000)
    for (const { error } of calls) expect(error).toMatchObject({ name: 'ConnectError', code: '28P01' })
  })
})
