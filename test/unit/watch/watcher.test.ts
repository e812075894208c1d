import { describe, expect, test } from 'vitest'
import { WatchedPool } from './watched-pool.ts'

const READS = { wait_event_type: 'Client', wait_event: 'ClientRead' }

describe('the timer', () => {
  test('runs only while something is in flight', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    expect(pool.clock.timers('nothing')).toBe(0)
    pool.send(connection)
    expect(pool.clock.timers('nothing')).toBe(1)
    connection.answer()
    await pool.clock.advance(1000)
    expect(pool.watcher.isAwake).toBe(false)
    expect(pool.clock.timers('nothing')).toBe(0)
    expect(pool.asked).toEqual([])
  })

  test('is one for the whole pool, and keeps no process alive', async () => {
    using pool = new WatchedPool()
    for (let each = 0; each < 10; each++) pool.send(pool.open())
    expect(pool.clock.timers('nothing')).toBe(1)
    expect(pool.clock.timers('process')).toBe(0)
  })

  test('stops with the pool', async () => {
    using pool = new WatchedPool()
    pool.send(pool.open())
    pool.watcher.stop()
    await pool.clock.advance(10_000)
    expect(pool.asked).toEqual([])
    expect(pool.clock.timers('nothing')).toBe(0)
  })

  test('runs again in a copy of the process', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    pool.watcher.isAwake = true // Set in the other process.
    pool.watcher.restart()
    pool.send(connection)
    await pool.clock.advance(2000)
    expect(pool.asked).not.toEqual([])
  })
})

describe('a silent connection that leaves the pool', () => {
  test('is forgotten, and nothing is looked at for its sake', async () => {
    using pool = new WatchedPool()
    const gone = pool.open()
    gone.row = pool.row('active', 1)
    pool.send(gone)
    await pool.clock.advance(800)
    const askedBefore = pool.asked.length
    expect(askedBefore).toBeGreaterThan(0)
    gone.isLost = true
    pool.connections.length = 0
    const busy = pool.open()
    for (let time = 0; time < 20; time++) {
      pool.send(busy)
      await pool.clock.advance(100)
      busy.answer()
    }
    expect(pool.asked.length).toBe(askedBefore)
  })
})

describe('a slow statement', () => {
  test('is looked at after 0.5, 0.75, 1.5, 3 … seconds, and left alone', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('active', 1, { wait_event_type: 'Lock', wait_event: 'relation', blocked_by: '4 5' })
    pool.send(connection)
    await pool.clock.advance(125_000)
    const [first, ...rest] = pool.asked.map(({ at }) => at)
    expect(first).toBeGreaterThanOrEqual(500)
    expect(first).toBeLessThan(760)
    const gaps = rest.map((at) => Math.round((at - (first as number)) / 250) / 4)
    expect(gaps).toEqual([0.25, 1, 2.5, 5.5, 11.5, 23.5, 47.5, 77.5, 107.5])
    expect(pool.verdicts).toEqual([])
    expect(pool.slow.get(1)).toMatchObject({ waitEventType: 'Lock', waitEvent: 'relation', blockedBy: [4, 5] })
  })

  test('is forgotten when it is answered', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('active', 1)
    pool.send(connection)
    await pool.clock.advance(1000)
    expect(pool.slow.get(1)).toMatchObject({ waitEvent: null })
    connection.answer()
    await pool.clock.advance(500)
    expect(pool.slow.get(1)).toBeUndefined()
  })

  test('begins a new silence with each byte', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    pool.send(connection)
    for (let portion = 0; portion < 20; portion++) {
      await pool.clock.advance(400)
      connection.receive(1)
    }
    expect(pool.asked).toEqual([])
  })
})

describe('a dead flow', () => {
  test('is found in less than a second', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('idle', 3, READS)
    pool.send(connection)
    await pool.clock.advance(1000)
    expect(pool.verdicts).toMatchObject([{ pid: 1, verdict: 'answer-lost' }])
    expect(pool.deaths).toMatchObject([{ state: 'idle', proof: undefined }])
    expect(pool.deaths[0]?.silentMillis).toBeGreaterThanOrEqual(750)
  })

  test('is found as soon when looks for other sessions come in short order', async () => {
    using pool = new WatchedPool()
    for (let other = 0; other < 12; other++) {
      const slow = pool.open()
      slow.row = pool.row('active', other + 1, { wait_event_type: 'Lock', wait_event: 'transactionid' })
      pool.send(slow)
      await pool.clock.advance(100)
    }
    const connection = pool.open()
    connection.row = pool.row('idle', 13, READS)
    pool.send(connection)
    const askedBefore = pool.asked.length
    for (let other = 0; other < 12; other++) {
      const slow = pool.open()
      slow.row = pool.row('active', other + 14, { wait_event_type: 'Lock', wait_event: 'transactionid' })
      pool.send(slow)
      await pool.clock.advance(100)
    }
    expect(pool.asked.length - askedBefore).toBeGreaterThan(5)
    expect(pool.verdicts).toMatchObject([{ pid: 13 }])
  })

  test('has its session ended', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('idle', 3, READS)
    pool.send(connection)
    await pool.clock.advance(1000)
    expect(pool.asked.at(-1)?.sql).toMatch(/pg_terminate_backend[\s\S]*a\.pid = 1 and [\s\S]*= '/)
  })

  test.each([
    [true, 'interrupted'],
    [false, undefined],
  ])(
    'whose server waits for the rest of a statement proves what became of it only if it was the only one: %s',
    async (hasOneSent, proof) => {
      using pool = new WatchedPool()
      const connection = pool.open()
      connection.row = pool.row('active', 3, READS)
      connection.statements.inFlight.hasOneSent = hasOneSent
      pool.send(connection)
      await pool.clock.advance(3000)
      expect(pool.deaths).toMatchObject([{ verdict: 'unfinished', proof }])
    },
  )

  test('is found soon when the statement has ended later', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('active', 1)
    pool.send(connection)
    await pool.clock.advance(3400)
    connection.row = pool.row('idle', 3400, READS)
    await pool.clock.advance(3200)
    expect(pool.verdicts).toMatchObject([{ verdict: 'answer-lost' }])
    expect(pool.verdicts[0]?.at).toBeLessThan(6600)
  })

  test('never arrived: its statement may run again when the session is ended where it was seen', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('idle', -5000, READS)
    pool.send(connection)
    await pool.clock.advance(1000)
    expect(pool.deaths).toMatchObject([{ verdict: 'never-arrived', proof: 'never-ran' }])
  })

  test.each([
    [
      'it has moved',
      (pool: WatchedPool) => [
        { ...pool.row('active', 800), ...pool.server, asked: '1', is_there: 'true', backend_start: '1' },
      ],
    ],
    [
      'it was gone before it could be seen',
      (pool: WatchedPool) => [{ asked: '1', is_there: 'true', state: null, ...pool.server }],
    ],
    ['there is none', () => []],
  ])('never arrived, but its session was not seen where it was ended: %s', async (_why, answer) => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('idle', -5000, READS)
    pool.answerTo = (sql) => (sql.includes('terminate') ? Promise.resolve(answer(pool)) : undefined)
    pool.send(connection)
    await pool.clock.advance(1000)
    expect(pool.deaths).toMatchObject([{ verdict: 'never-arrived', proof: undefined }])
  })

  test('is not given up when its answer comes while the session is ended', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('idle', -5000, READS)
    pool.answerTo = (sql) => {
      if (sql.includes('terminate')) connection.answer()
      return undefined
    }
    pool.send(connection)
    await pool.clock.advance(1000)
    expect(pool.verdicts).toHaveLength(1)
    expect(pool.deaths).toEqual([])
  })

  test.each([
    ['is committed', [['committed']], 'committed'],
    ['is aborted', [['aborted']], 'interrupted'],
    ['is in progress, and then aborted', [['in progress'], ['in progress'], ['aborted']], 'interrupted'],
    ['is too old to be known', [[null]], undefined],
    ['is of a server that has crashed since', [[]], undefined],
  ])('whose transaction was seen, which %s', async (_what, answers, proof) => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('active', 1, { xid: '757' })
    pool.answerTo = (sql) =>
      sql.includes("pg_xact_status('757'::xid8)")
        ? Promise.resolve((answers.shift() ?? []).map((status) => ({ status })))
        : undefined
    pool.send(connection)
    await pool.clock.advance(1000)
    connection.row = pool.row('idle', 1000, READS)
    await pool.clock.advance(5000)
    expect(pool.deaths).toMatchObject([{ verdict: 'answer-lost', proof }])
    expect(pool.asked.at(-1)?.sql).toMatch(/= '1'\s+and [\s\S]* = '3'/)
  })

  test('is not asked about a transaction that it did not begin by itself', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.transactionStatus = 'T'
    connection.row = pool.row('active', 1, { xid: '757' })
    pool.send(connection)
    await pool.clock.advance(1000)
    connection.row = pool.row('idle in transaction', 1000, READS)
    await pool.clock.advance(5000)
    expect(pool.deaths).toMatchObject([{ verdict: 'answer-lost', proof: undefined }])
    expect(pool.asked.some(({ sql }) => sql.includes('xact_status'))).toBe(false)
  })

  test('one question asks about all', async () => {
    using pool = new WatchedPool()
    for (let each = 0; each < 10; each++) {
      const connection = pool.open()
      connection.row = pool.row('idle', 3, READS)
      pool.send(connection)
    }
    await pool.clock.advance(1000)
    expect(pool.deaths).toHaveLength(10)
    expect(pool.asked.filter(({ sql }) => sql.includes('asked(pid)'))).toHaveLength(2)
  })
})

describe('no false verdict', () => {
  test('when the answer is read together with that of the second look', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('idle', 3, READS)
    const { afterReading } = pool.clock
    pool.clock.afterReading = (task) => {
      if (pool.asked.length === 2) connection.answer()
      afterReading.call(pool.clock, task)
    }
    pool.send(connection)
    await pool.clock.advance(3000)
    expect(pool.asked).toHaveLength(2)
    expect(pool.verdicts).toEqual([])
  })

  test('after a blocked event loop: what has arrived is read first', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('idle', 3, READS)
    pool.send(connection)
    await pool.clock.blockEventLoop(5000, () => connection.answer())
    await pool.clock.advance(5000)
    expect(pool.asked).toEqual([])
  })

  test('while a cursor rests between two portions', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('active', 3, READS)
    pool.send(connection, undefined, 'cursor', false)
    await pool.clock.advance(60_000)
    expect(pool.asked).toEqual([])
  })

  test('about a socket that does not count', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.session.traffic.bytesRead = undefined
    pool.send(connection)
    await pool.clock.advance(60_000)
    expect(pool.asked).toEqual([])
  })

  test('by a failover between two looks', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = pool.row('idle', 3, READS)
    pool.send(connection)
    await pool.clock.advance(700)
    pool.serverStart = 2
    connection.row = undefined
    await pool.clock.advance(60_000)
    expect(pool.verdicts).toEqual([])
    expect(pool.limits).toEqual(['another-server'])
  })

  test('while the server gives no answer, but the network leads to it', async () => {
    using pool = new WatchedPool()
    pool.answerTo = () => Promise.reject(new Error('no answer'))
    pool.send(pool.open())
    await pool.clock.advance(600_000)
    expect(pool.verdicts).toEqual([])
  })

  test('by an answer that makes no sense', async () => {
    using pool = new WatchedPool()
    pool.answerTo = () => Promise.resolve([{ nonsense: true }])
    pool.send(pool.open())
    await pool.clock.advance(60_000)
    expect(pool.verdicts).toEqual([])
  })
})

describe('where it cannot look', () => {
  test('behind a pooler: says so once, and asks nothing', async () => {
    using pool = new WatchedPool()
    pool.send(pool.open(false))
    await pool.clock.advance(60_000)
    expect(pool.limits).toEqual(['not-direct'])
    expect(pool.asked).toEqual([])
    expect(pool.verdicts).toEqual([])
  })

  test('the pool’s role may have been changed: it asks in its own session, then says so', async () => {
    using pool = new WatchedPool()
    const connection = pool.open()
    connection.row = { state: null, backend_start: null }
    pool.send(connection)
    await pool.clock.advance(10_000)
    expect(pool.asked.map(({ how }) => how).slice(0, 3)).toEqual(['any', 'own', 'own'])
    expect(pool.limits).toEqual(['insufficient-privilege'])
    expect(pool.verdicts).toEqual([])
  })

  test('a question that the server refuses is asked in its own session', async () => {
    using pool = new WatchedPool()
    pool.answerTo = () => Promise.reject(Object.assign(new Error('canceled'), { code: '57014' }))
    pool.send(pool.open())
    await pool.clock.advance(10_000)
    expect(pool.asked.map(({ how }) => how).slice(0, 3)).toEqual(['any', 'own', 'own'])
    expect(pool.verdicts).toEqual([])
  })

  test('a network that leads nowhere is believed to be gone after three times in five seconds', async () => {
    using pool = new WatchedPool()
    pool.reach = false
    pool.answerTo = () => Promise.reject(new Error('no answer'))
    pool.send(pool.open())
    pool.send(pool.open(false))
    await pool.clock.advance(5000)
    expect(pool.verdicts).toEqual([])
    await pool.clock.advance(4000)
    expect(pool.deaths).toMatchObject([{ verdict: 'unreachable' }, { verdict: 'unreachable' }])
  })

  test('a network that leads there again begins to count again', async () => {
    using pool = new WatchedPool()
    pool.reach = false
    pool.answerTo = () => Promise.reject(new Error('no answer'))
    pool.send(pool.open())
    await pool.clock.advance(4000)
    pool.reach = true
    await pool.clock.advance(1500)
    pool.reach = false
    await pool.clock.advance(4000)
    expect(pool.verdicts).toEqual([])
  })
})
