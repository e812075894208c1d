import { describe, expect, test, vi } from 'vitest'
import {
  ConnectionLostError,
  OptionsError,
  PoolTimeoutError,
  TransactionTimeoutError,
} from '../../../packages/core/src/errors.ts'
import { currentScope, type PoolOptionsScope } from '../../../packages/core/src/runtime/pool-options-scope.ts'
import { runTransaction, type Transact } from '../../../packages/core/src/transaction/run-transaction.ts'
import type { RetryInfo, RunOptions } from '../../../packages/core/src/transaction/transaction-options.ts'
import { serverError } from '../../support/fake-client.ts'

const conflict = () => serverError('40001', 'could not serialize access')
const AT_ONCE = { minTimeout: 0, maxTimeout: 0 }
const again: RunOptions = { retry: AT_ONCE }

/** An ORM whose transactions end like these, one after the other; further ones like the last. */
function orm(...ends: readonly (() => unknown)[]): Transact<'tx', unknown> {
  return async (work, attempt) => {
    await work('tx')
    return ends[Math.min(attempt, ends.length) - 1]?.()
  }
}

function fails(error: unknown): () => never {
  return () => {
    throw error
  }
}

function lost(commitOutcome: 'aborted' | 'unknown'): ConnectionLostError {
  const phase = commitOutcome === 'aborted' ? 'transaction' : 'commit'
  return new ConnectionLostError({ cause: new Error('gone'), phase, commitOutcome }, true)
}

function poolTimeout(cause: unknown): PoolTimeoutError {
  const none = { leased: 0, idle: 0, opening: 0, checking: 0, resetting: 0, waiting: 0, longestLease: undefined }
  return new PoolTimeoutError({ ...none, waitedMillis: 5, max: 1 }, cause)
}

/** How often the function ran, and how the transaction ended. */
async function outcomeOf(transact: Transact<'tx', unknown>, options = again): Promise<unknown[]> {
  const attempts: number[] = []
  const end = await runTransaction(transact, (_tx, { attempt }) => void attempts.push(attempt), options).catch(
    (error: unknown) => ({ error }),
  )
  return [attempts, end]
}

describe('a transaction', () => {
  test('a transaction runs once when it succeeds, and resolves with its result', async () => {
    const result = await runTransaction<string, string>(
      (work) => work('tx'),
      (tx, info) => `${tx}, attempt ${info.attempt}`,
    )
    expect(result).toBe('tx, attempt 1')
  })

  test.each([
    ['the server could not serialize it', conflict()],
    ['it was a deadlock', serverError('40P01', 'deadlock detected')],
    ['it was lost before COMMIT was sent', lost('aborted')],
    ['the ORM has wrapped such an error', new Error('Failed query', { cause: conflict() })],
    ['TypeORM has', Object.assign(new Error('QueryFailedError'), { driverError: conflict() })],
    ['there were too many connections', serverError('53300', 'too many clients')],
    ['the server was starting', serverError('57P03', 'the database system is starting up')],
  ])('a transaction runs again when %s', async (_why, error) => {
    expect(await outcomeOf(orm(fails(error), () => 'done'))).toEqual([[1, 2], 'done'])
  })

  test.each([
    ['its COMMIT may have been carried out', lost('unknown')],
    ['the server could not tell', serverError('40003', 'statement completion unknown')],
    ['the outcome could not be found out', serverError('08007', 'transaction resolution unknown')],
    ['it violates a constraint', serverError('23505', 'duplicate key')],
    ['the application threw', new Error('of the application')],
    ['it threw a TypeError', new TypeError('x is not a function')],
    ['it threw what is no Error', 'a text'],
    ['it threw nothing', undefined],
    ['the deadline of its connection has passed', poolTimeout(serverError('53300', 'too many clients'))],
  ])('a transaction never runs again when %s', async (_why, error) => {
    expect(await outcomeOf(orm(fails(error), () => 'done'))).toEqual([[1], { error }])
  })

  test('a transaction runs as often as `retries` allows, and rejects with the last error', async () => {
    const errors = [conflict(), conflict(), conflict()]
    const ends = errors.map((error) => fails(error))
    const [attempts, end] = await outcomeOf(orm(...ends), { retry: { ...AT_ONCE, retries: 2 } })
    expect(attempts).toEqual([1, 2, 3])
    expect((end as { error: unknown }).error).toBe(errors[2])
  })

  test('a transaction runs at most four times by default, and once with `retry: false`', async () => {
    const [attempts] = await outcomeOf(orm(fails(conflict())))
    expect(attempts).toEqual([1, 2, 3, 4])
    expect((await outcomeOf(orm(fails(conflict())), { retry: false }))[0]).toEqual([1])
  })

  test('a transaction pauses before it runs again', async () => {
    vi.useFakeTimers()
    try {
      let attempts = 0
      const transact = orm(fails(conflict()), () => 'done')
      const done = runTransaction(transact, () => void attempts++, { retry: { minTimeout: 200, randomize: false } })
      await vi.advanceTimersByTimeAsync(199)
      expect(attempts).toBe(1)
      await vi.advanceTimersByTimeAsync(1)
      expect([attempts, await done]).toEqual([2, 'done'])
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a transaction that may have committed', () => {
  test('a transaction that may have committed never runs again, whatever error the ORM throws', async () => {
    const lease = { number: 1, attempt: undefined, isHeld: () => false }
    const transact: Transact<'tx', unknown> = async (work) => {
      const { attempt } = currentScope() ?? {}
      attempt?.noteLease(lease, () => {})
      await work('tx')
      attempt?.noteCommit(lease)
      throw conflict() // Of a subscriber's statement, after the COMMIT.
    }
    expect(await outcomeOf(transact)).toEqual([[1], { error: expect.objectContaining({ code: '40001' }) }])
  })

  test('a transaction may run again if only a connection that its function acquired has committed', async () => {
    const other = { number: 1, attempt: undefined, isHeld: () => false }
    let attempts = 0
    const work = async (): Promise<string> => {
      const { attempt } = currentScope() ?? {}
      attempt?.noteLease(other, () => {})
      attempt?.noteCommit(other)
      if (attempts++ === 0) throw conflict()
      return 'done'
    }
    expect(await runTransaction((run) => run('tx'), work, again)).toBe('done')
    expect(attempts).toBe(2)
  })
})

describe('a connection that an ORM forgets to release', () => {
  test('a connection that an ORM forgets to release is released at the end of the attempt', async () => {
    const releases: number[] = []
    const transact: Transact<'tx', unknown> = async (_work, attempt) => {
      const lease = { number: attempt, attempt: undefined, isHeld: () => true }
      currentScope()?.attempt?.noteLease(lease, () => releases.push(attempt))
      throw conflict() // At BEGIN, where Drizzle 0.45 leaks.
    }
    await outcomeOf(transact, { retry: { ...AT_ONCE, retries: 1 } })
    expect(releases).toEqual([1, 2])
  })

  test('a connection that an ORM forgets to release is not released if the function acquired it', async () => {
    const release = vi.fn()
    const work = () =>
      currentScope()?.attempt?.noteLease({ number: 1, attempt: undefined, isHeld: () => true }, release)
    await runTransaction((run) => run('tx'), work)
    expect(release).not.toHaveBeenCalled()
  })
})

describe('a signal', () => {
  const reason = new Error('the user has left')

  test('a signal that is aborted already prevents the first attempt', async () => {
    const transact = vi.fn(orm(() => 'done'))
    expect(await outcomeOf(transact, { signal: AbortSignal.abort(reason) })).toEqual([[], { error: reason }])
    expect(transact).not.toHaveBeenCalled()
  })

  test('a signal that is aborted in a pause ends the pause, with its reason', async () => {
    const controller = new AbortController()
    const transact = orm(() => {
      setImmediate(() => controller.abort(reason))
      throw conflict()
    })
    const options = { signal: controller.signal, retry: { minTimeout: 60_000, maxTimeout: 60_000 } }
    expect(await outcomeOf(transact, options)).toEqual([[1], { error: reason }])
  })

  test('a transaction whose signal is aborted rejects with the reason, even if the ORM wraps it', async () => {
    const controller = new AbortController()
    const transact = orm(() => {
      controller.abort(reason)
      throw new Error('Failed query', { cause: reason })
    })
    const [, end] = await outcomeOf(transact, { signal: controller.signal })
    expect((end as { error: unknown }).error).toBe(reason)
  })

  test.each([
    ['a success', () => 'done', 'done'],
    ['an outcome that is unknown', fails(lost('unknown')), { error: expect.any(ConnectionLostError) }],
    ["the application's own error", fails(new Error('mine')), { error: new Error('mine') }],
  ])('a signal that is aborted too late does not hide %s', async (_what, end, told) => {
    const controller = new AbortController()
    const transact = orm(() => {
      controller.abort(reason)
      return end()
    })
    expect(await outcomeOf(transact, { ...again, signal: controller.signal })).toEqual([[1], told])
  })
})

describe('a deadline over all attempts', () => {
  test('a deadline over all attempts ends the running attempt, and has the last failure as its cause', async () => {
    const transact = orm(fails(conflict()))
    const options = { timeoutMillis: 20, retry: { minTimeout: 60_000, maxTimeout: 60_000 } }
    const [attempts, end] = await outcomeOf(transact, options)
    expect(attempts).toEqual([1])
    expect(end).toEqual({ error: expect.any(TransactionTimeoutError) })
    expect((end as { error: Error }).error).toMatchObject({ timeoutMillis: 20, cause: { code: '40001' } })
  })

  test('a deadline over all attempts reaches the ORM as one signal, together with the given one', async () => {
    const controller = new AbortController()
    const reason = new Error('the user has left')
    const transact: Transact<'tx', unknown> = () => {
      const { signal } = currentScope() ?? {}
      return new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason))
        controller.abort(reason)
      })
    }
    const options = { timeoutMillis: 60_000, signal: controller.signal }
    expect(await outcomeOf(transact, options)).toEqual([[], { error: reason }])
  })
})

describe('onRetry', () => {
  test('onRetry is called for each failure that another attempt follows, and for no other', async () => {
    const told: unknown[] = []
    const options = { retry: { ...AT_ONCE, retries: 2 }, onRetry: (retry: RetryInfo) => told.push(retry) }
    await outcomeOf(orm(fails(conflict())), options)
    const retry = { error: expect.objectContaining({ code: '40001' }), delayMillis: 0 }
    expect(told).toEqual([
      { ...retry, attempt: 1 },
      { ...retry, attempt: 2 },
    ])
    await outcomeOf(orm(fails(new Error('mine'))), options)
    expect(told).toHaveLength(2)
  })

  test('onRetry ends the attempts when it throws', async () => {
    const veto = new Error('no more')
    const onRetry = () => {
      throw veto
    }
    expect(await outcomeOf(orm(fails(conflict())), { ...again, onRetry })).toEqual([[1], { error: veto }])
  })
})

describe('the scope', () => {
  const reason = new Error('the user has left')

  test('the scope of a transaction has all options for the ORM, and only the signal for the function', async () => {
    const controller = new AbortController()
    let forOrm: PoolOptionsScope | undefined
    let forFunction: PoolOptionsScope | undefined
    const transact: Transact<'tx', unknown> = (work) => {
      forOrm = currentScope()
      return work('tx')
    }
    const work = () => {
      forFunction = currentScope()
      controller.abort(reason)
    }
    const options = { connectionTimeoutMillis: 5, resetOnReturn: 'discard' } as const
    await runTransaction(transact, work, { ...options, signal: controller.signal })
    const attempt = expect.objectContaining({ number: 1 })
    // The attempt's own signal, which follows the given one.
    const signal = forOrm?.signal
    expect(signal?.reason).toBe(reason)
    expect(forOrm).toEqual({ ...options, signal, attempt })
    expect(forFunction).toEqual({ signal, attempt })
    expect(forFunction?.signal).toBe(signal)
  })
})

test.each([
  [{ retry: 'often' }, "`transaction.retry` must be true, false, or p-retry's options, got 'often'."],
  [{ retry: { retries: -1 } }, '`transaction.retry.retries` must be a whole number from 0 on, or Infinity, got -1.'],
  [{ retry: { retry: 1 } }, expect.stringMatching(/^`transaction.retry.retry` is not an option, /)],
  [{ timeoutMillis: -1 }, '`transaction.timeoutMillis` must be a number from 0 on, got -1.'],
  [{ onRetry: 3 }, '`transaction.onRetry` must be a function, got 3.'],
  [{ signal: {} }, '`transaction.signal` must be an AbortSignal, got an object without names.'],
  [{ isolationLevel: 'serializable' }, expect.stringMatching(/^`transaction.isolationLevel` is not an option, /)],
])('the wrong option %o is refused', async (options, problem) => {
  const refused = runTransaction(orm(), () => {}, options as RunOptions)
  const error = (await refused.catch((reason: unknown) => reason)) as OptionsError
  expect(error).toBeInstanceOf(OptionsError)
  expect(error.problems).toEqual([problem])
})
