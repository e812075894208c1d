import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LeasedClient } from '../../../packages/core/src/connection/physical-client.ts'
import { TransactionStateError } from '../../../packages/core/src/errors.ts'
import { Pool } from '../../../packages/core/src/pool.ts'
import { currentScope } from '../../../packages/core/src/runtime/pool-options-scope.ts'
import { transactionOn } from '../../../packages/core/src/transaction/pool-transaction.ts'
import type { Transaction, TransactionFunction } from '../../../packages/core/src/transaction/transaction.ts'
import type { TransactionOptions } from '../../../packages/core/src/transaction/transaction-options.ts'
import { FakeServer, serverError } from '../../support/fake-client.ts'
import { FakeClock } from '../../support/fake-clock.ts'

let clock: FakeClock
let server: FakeServer
/** The argument of each `release`. */
let releases: unknown[]
let asked: unknown[]

beforeEach(() => {
  clock = new FakeClock()
  server = new FakeServer()
  releases = []
  asked = []
})
afterEach(() => clock[Symbol.dispose]())

/** Waits for a promise that needs only turns of the event loop. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  await clock.advance(0)
  return promise
}

/** Runs a transaction on a pool whose leases are recorded. */
function run<Result>(fn: TransactionFunction<Result>, options?: TransactionOptions): Promise<Result> {
  const pool = new Pool({ Client: server.Client, max: 1, watch: false })
  const source = {
    async connect(): Promise<LeasedClient> {
      asked.push(currentScope())
      const client = await pool.connect()
      const { release } = client
      client.release = (discard) => {
        releases.push(discard)
        release(discard)
      }
      return client
    },
  }
  return transactionOn(source, fn, options)
}

const failure = new Error('of the application')
const sqlError = serverError('23505', 'duplicate key')
const rejected = () => Promise.reject(failure)

describe('a transaction sends', () => {
  test('a transaction sends BEGIN with its modes, its statements, and COMMIT', async () => {
    await soon(run((tx) => tx.query('select 1'), { isolationLevel: 'serializable', accessMode: 'read only' }))
    expect(server.received).toEqual(['BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY', 'select 1', 'COMMIT'])
  })

  test('a transaction sends ROLLBACK instead of COMMIT when the function rejects', async () => {
    await expect(soon(run(rejected))).rejects.toBe(failure)
    expect(server.received).toEqual(['BEGIN', 'ROLLBACK'])
  })

  test('a transaction sends a new name for each savepoint', async () => {
    await soon(
      run(async (tx) => {
        await tx.savepoint((sp) => sp.savepoint(() => {}))
        await tx.savepoint(() => {})
      }),
    )
    expect(server.received).toEqual([
      'BEGIN',
      'SAVEPOINT holdfast_1',
      'SAVEPOINT holdfast_2',
      'RELEASE SAVEPOINT holdfast_2',
      'RELEASE SAVEPOINT holdfast_1',
      'SAVEPOINT holdfast_3',
      'RELEASE SAVEPOINT holdfast_3',
      'COMMIT',
    ])
  })

  test('a transaction sends no ROLLBACK when BEGIN or COMMIT has failed, since nothing is left to roll back', async () => {
    for (const statement of ['BEGIN', 'COMMIT']) {
      server = new FakeServer()
      const transaction = run(() => {
        server.backend().holdsReadyForQuery = true
      })
      const backend = server.backend()
      backend.failures.set(statement, sqlError)
      await expect(soon(transaction)).rejects.toBe(sqlError)
      backend.readyForQuery('I')
      await clock.advance(0)
      expect(backend.received.at(-1)).toBe(statement)
      expect(backend.isOpen).toBe(true)
    }
  })

  test('a transaction sends nothing when its signal is aborted already', async () => {
    const reason = new Error('given up')
    await expect(soon(run(() => {}, { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)
    expect([asked, server.backends]).toEqual([[], []])
  })
})

describe('the lease of a transaction', () => {
  test('the lease of a transaction is acquired with the options for acquiring, and no others', async () => {
    await soon(run(() => {}, { isolationLevel: 'serializable', connectionTimeoutMillis: 5, resetOnReturn: 'none' }))
    expect(asked).toEqual([{ connectionTimeoutMillis: 5, resetOnReturn: 'none', attempt: expect.anything() }])
  })

  test.each([
    ['resolves', () => {}],
    ['rejects', rejected],
    [
      'throws',
      () => {
        throw failure
      },
    ],
  ])('the lease of a transaction is released once when the function %s', async (_how, fn) => {
    await soon(run(fn)).catch(() => {})
    expect(releases).toEqual([undefined])
  })

  test.each(['BEGIN', 'COMMIT'])('the lease of a transaction is released once when %s fails', async (statement) => {
    const transaction = run(() => {})
    server.backend().failures.set(statement, sqlError)
    await expect(soon(transaction)).rejects.toBe(sqlError)
    expect(releases).toEqual([undefined])
  })

  test("the lease of a transaction is discarded when ROLLBACK fails, and the caller gets the function's error", async () => {
    const transaction = run(rejected)
    server.backend().failures.set('ROLLBACK', sqlError)
    await expect(soon(transaction)).rejects.toBe(failure)
    expect(releases).toEqual([sqlError])
    expect(server.backend().isOpen).toBe(false)
  })

  test('the lease of a transaction ends after five seconds without an answer to ROLLBACK', async () => {
    const transaction = run(() => {
      server.backend().silent = true
      throw failure
    })
    transaction.catch(() => {})
    await clock.advance(4900)
    expect(releases).toEqual([])
    await clock.advance(200)
    await expect(transaction).rejects.toBe(failure)
    expect(server.backend().isOpen).toBe(false)
  })

  test('the lease of a transaction is not acquired when the function is no function, or an option is invalid', async () => {
    await expect(run('fn' as never)).rejects.toThrow(TypeError)
    await expect(run(() => {}, { retry: 5 } as never)).rejects.toMatchObject({ name: 'OptionsError' })
    expect(asked).toEqual([])
  })
})

describe('COMMIT answered with ROLLBACK', () => {
  test('COMMIT answered with ROLLBACK rejects with the error that was caught, not with those that followed from it', async () => {
    const transaction = run(async (tx) => {
      await tx.query('bad').catch(() => {})
      await tx.query('worse').catch(() => {})
    })
    const backend = server.backend()
    backend.failures.set('bad', sqlError)
    backend.failures.set('worse', serverError('25P02', 'current transaction is aborted'))
    answersRollback()
    await expect(soon(transaction)).rejects.toMatchObject({ name: 'TransactionRolledBackError', cause: sqlError })
    expect(releases).toEqual([undefined])
  })

  test('COMMIT answered with ROLLBACK does not blame an error from before the last success, or one that never reached the server', async () => {
    const transaction = run(async (tx) => {
      await tx.query('bad').catch(() => {})
      await tx.query('select 1')
      await tx.query('select $1', 'no array' as never).catch(() => {})
      await tx.query('culprit').catch(() => {})
    })
    const culprit = serverError('22012', 'division by zero')
    server.backend().failures.set('bad', sqlError)
    server.backend().failures.set('culprit', culprit)
    answersRollback()
    await expect(soon(transaction)).rejects.toMatchObject({ name: 'TransactionRolledBackError', cause: culprit })
  })

  /** As the server answers in a failed transaction. */
  function answersRollback(): void {
    const { wire } = server.backend()
    const emit = wire.emit.bind(wire)
    wire.emit = (event, ...args) =>
      event === 'commandComplete' && args[0].text === 'COMMIT'
        ? emit(event, { text: 'ROLLBACK' })
        : emit(event, ...args)
  }
})

describe('a transaction that has ended', () => {
  async function ended(): Promise<Transaction> {
    const { tx } = await soon(run((each) => ({ tx: each })))
    return tx
  }

  test('a transaction that has ended refuses every form of a query: promise, callback, callback in the config, cursor', async () => {
    const tx = await ended()
    const sent = server.received.length
    const told: unknown[] = []
    const submittable = { submit: () => told.push('submitted'), handleError: (error: Error) => told.push(error) }

    await expect(tx.query('select 1')).rejects.toThrow(TransactionStateError)
    expect(tx.query('select 1', (error) => told.push(error))).toBeUndefined()
    expect(tx.query('select $1', [1], (error) => told.push(error))).toBeUndefined()
    expect(tx.query({ text: 'select 1', callback: (error: Error) => told.push(error) } as never)).toBeUndefined()
    expect(tx.query(submittable)).toBe(submittable)
    // Not before `query` has returned: callers rely on that.
    expect(told).toEqual([])
    await clock.advance(0)
    expect(told).toEqual(Array.from({ length: 4 }, () => expect.any(TransactionStateError)))
    expect(server.received).toHaveLength(sent)
  })

  test('a transaction that has ended refuses also the RELEASE of its own savepoint', async () => {
    let savepoint: Promise<void> | undefined
    let finish = (): void => {}
    const transaction = run(async (tx) => {
      const begun = new Promise<void>((resolve) => {
        savepoint = tx.savepoint(() => {
          resolve()
          return new Promise<void>((done) => {
            finish = done
          })
        })
      })
      await begun
    })
    await expect(soon(transaction)).rejects.toThrow('A savepoint was still open')
    finish()
    await expect(soon(savepoint as Promise<void>)).rejects.toThrow(TransactionStateError)
    expect(server.received).toEqual(['BEGIN', 'SAVEPOINT holdfast_1', 'ROLLBACK'])
  })
})

test('a transaction works with a Client class whose query supports only promises', async () => {
  class PromisingClient extends server.Client {
    // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client.
    override query(...args: any[]): any {
      if (args.some((each) => typeof each === 'function')) throw new Error('knows no callbacks')
      return super.query(...(args as [string]))
    }
  }
  const pool = new Pool({ Client: PromisingClient as never })
  await soon(transactionOn(pool, (tx) => tx.savepoint((sp) => sp.query('select 1'))))
  expect(server.received).toEqual([
    'BEGIN',
    'SAVEPOINT holdfast_1',
    'select 1',
    'RELEASE SAVEPOINT holdfast_1',
    'COMMIT',
  ])
})

test('a transaction refuses what is no query as pg refuses it', async () => {
  await soon(
    run((tx) => {
      expect(() => tx.query(null as never)).toThrow(TypeError)
      expect(() => tx.query('select 1', [], 'callback' as never)).toThrow(TypeError)
    }),
  )
})
