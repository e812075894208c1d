import { describe, expect, test } from 'vitest'
import { OptionsError } from '../../../packages/core/src/errors.ts'
import { TRANSACTION_RETRY } from '../../../packages/core/src/options/option-table.ts'
import {
  beginStatement,
  resolveTransactionOptions,
} from '../../../packages/core/src/transaction/transaction-options.ts'

/** The problems that are found in these options, which may be of any type. */
function problemsOf(options: unknown): readonly string[] {
  try {
    resolveTransactionOptions(options as object)
  } catch (error) {
    if (error instanceof OptionsError) return error.problems
    throw error
  }
  return []
}

const NO_LIMITS = { timeoutMillis: Number.POSITIVE_INFINITY, onRetry: undefined }

describe('the options of a transaction', () => {
  test('the options of a transaction are split into the modes for BEGIN and the options for running', () => {
    const { signal } = new AbortController()
    const resolved = resolveTransactionOptions({
      isolationLevel: 'serializable',
      accessMode: 'read only',
      deferrable: true,
      signal,
      connectionTimeoutMillis: 5,
      resetOnReturn: 'none',
    })
    expect(resolved).toEqual({
      modes: { isolationLevel: 'serializable', accessMode: 'read only', deferrable: true },
      run: {
        acquire: { signal, connectionTimeoutMillis: 5, resetOnReturn: 'none' },
        retry: TRANSACTION_RETRY,
        ...NO_LIMITS,
      },
    })
    expect(resolved.run.acquire.signal).toBe(signal)
  })

  test('the options of a transaction may be absent, or present with the value undefined', () => {
    const nothing = { modes: {}, run: { acquire: {}, retry: TRANSACTION_RETRY, ...NO_LIMITS } }
    expect(resolveTransactionOptions({})).toEqual(nothing)
    const { modes, run } = resolveTransactionOptions({ isolationLevel: undefined, signal: undefined })
    expect([Object.keys(modes), Object.keys(run.acquire)]).toEqual([[], []])
  })

  test('the modes of a transaction may be in upper or lower case', () => {
    const options = { isolationLevel: 'Repeatable READ' as 'repeatable read', accessMode: 'READ ONLY' as 'read only' }
    expect(resolveTransactionOptions(options).modes).toEqual({
      isolationLevel: 'repeatable read',
      accessMode: 'read only',
    })
  })

  test.each([
    [
      { isolationLevel: 'snapshot' },
      "`transaction.isolationLevel` must be one of 'read uncommitted', 'read committed', 'repeatable read', 'serializable', got 'snapshot'.",
    ],
    [{ isolationLevel: 4 }, expect.stringMatching(/^`transaction.isolationLevel` must be .*, got 4\.$/)],
    [{ isolationLevel: null }, expect.stringMatching(/^`transaction.isolationLevel` must be .*, got null\.$/)],
    [{ accessMode: 'write' }, "`transaction.accessMode` must be one of 'read only', 'read write', got 'write'."],
    [{ deferrable: 'yes' }, "`transaction.deferrable` must be one of true, false, got 'yes'."],
    [{ signal: new AbortController() }, expect.stringMatching(/^`transaction.signal` must be an AbortSignal, got /)],
    [{ isolatonLevel: 'serializable' }, '`transaction.isolatonLevel` is not an option, did you mean `isolationLevel`?'],
    [
      { isolation: 'serializable' },
      '`transaction.isolation` is not an option, allowed are isolationLevel, accessMode, deferrable, signal, connectionTimeoutMillis, resetOnReturn, label, target, after, retry, timeoutMillis, onRetry.',
    ],
    [null, expect.stringMatching(/^`transaction options` must be an object, .*, got null\.$/)],
    ['serializable', expect.stringMatching(/^`transaction options` must be an object, .*, got 'serializable'\.$/)],
  ])('the wrong options %o are refused', (options, problem) => {
    expect(problemsOf(options)).toEqual([problem])
  })

  test('the wrong options of a transaction are refused with all their problems at once', () => {
    expect(problemsOf({ isolationLevel: 'snapshot', accessMode: 'write', retires: 3 })).toHaveLength(3)
  })
})

test.each([
  [{}, 'BEGIN'],
  [{ isolationLevel: 'repeatable read' }, 'BEGIN ISOLATION LEVEL REPEATABLE READ'],
  [{ accessMode: 'read only' }, 'BEGIN READ ONLY'],
  [{ deferrable: true }, 'BEGIN DEFERRABLE'],
  [{ deferrable: false }, 'BEGIN NOT DEFERRABLE'],
  [
    { isolationLevel: 'serializable', accessMode: 'read write', deferrable: true },
    'BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE',
  ],
] as const)('BEGIN with the modes %o is %s', (modes, statement) => {
  expect(beginStatement(modes)).toBe(statement)
})
