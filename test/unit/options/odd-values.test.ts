import { afterAll, describe, expect, test, vi } from 'vitest'
import { OptionsError } from '../../../packages/core/src/errors.ts'
import { NullPool } from '../../../packages/core/src/null-pool.ts'
import { resolveDispose, resolveDrain } from '../../../packages/core/src/options/call-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/resolved-options.ts'
import { Pool } from '../../../packages/core/src/pool.ts'
import { withPoolOptions } from '../../../packages/core/src/runtime/pool-options-scope.ts'
import { isError } from '../../../packages/core/src/thrown.ts'
import {
  resolveRunOptions,
  resolveTransactionOptions,
} from '../../../packages/core/src/transaction/transaction-options.ts'
import { ODD_VALUES } from '../../support/odd-values.ts'

// The pools here never connect: the tests are about how options are read, and warnings would only be noise.
const warnings = vi.spyOn(process, 'emitWarning').mockReturnValue()
afterAll(() => warnings.mockRestore())

const OURS = Object.keys(resolveOptions({})).filter(
  (key) => !['maxLifetimeMillis', 'pingTimeoutMillis', 'queryTimeoutMillis'].includes(key),
)
const POOL = [
  ...OURS,
  'maxLifetimeSeconds',
  'query_timeout',
  'onConnect',
  'verify',
  'log',
  'Client',
  'connectionString',
]
const PG = ['host', 'port', 'user', 'password', 'database', 'ssl', 'types', 'stream', 'options', 'poolSize']
const GROUPS = ['prePing.idleMillis', 'prePing.timeoutMillis', 'connectRetry.retries', 'connectRetry.factor']
const RUN = ['signal', 'connectionTimeoutMillis', 'resetOnReturn', 'retry', 'retry.retries', 'timeoutMillis', 'onRetry']

/** `{ prePing: { idleMillis: value } }`, for `prePing.idleMillis`. */
function given(option: string, value: unknown): never {
  return option.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as never
}

/** The OptionsError that `act` throws, or undefined if it throws nothing. Any other error fails the test. */
function refusalOf(act: () => unknown): OptionsError | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (isError(error) && error.constructor === OptionsError) return error as OptionsError
    throw new Error('It threw something else than an OptionsError', { cause: error })
  }
}

/** Whether `act` throws an OptionsError or nothing; any other error fails the test. */
function outcomeOf(act: () => unknown): 'refused' | 'accepted' {
  return refusalOf(act) ? 'refused' : 'accepted'
}

const OUTCOMES = ['refused', 'accepted']

describe.each(ODD_VALUES)('%s', (_name, make) => {
  test.each([...POOL, ...PG, ...GROUPS])(
    'an odd `%s` of a pool is accepted, or refused by an OptionsError',
    (option) => {
      const said = option === 'poolSize' ? 'max' : (option.split('.')[0] as string)
      const message = refusalOf(() => new Pool(given(option, make())))?.message ?? `\`${said}\` was accepted`
      expect(message).toContain(`\`${said}`)
    },
  )

  test('an odd value as the options of a pool is accepted, or refused by an OptionsError', () => {
    const possible = make() === undefined ? ['accepted'] : OUTCOMES
    for (const Class of [Pool, NullPool]) expect(possible).toContain(outcomeOf(() => new Class(make() as never)))
  })

  test.each(RUN)('an odd `%s` of a transaction or a scope is accepted, or refused by an OptionsError', (option) => {
    expect(OUTCOMES).toContain(outcomeOf(() => resolveTransactionOptions(given(option, make()))))
    expect(OUTCOMES).toContain(outcomeOf(() => resolveRunOptions('transaction', given(option, make()))))
    expect(OUTCOMES).toContain(outcomeOf(() => withPoolOptions(given(option, make()), () => {})))
  })

  test('an odd value as the options of a transaction, a scope, dispose() or drain() is accepted, or refused by an OptionsError', () => {
    expect(OUTCOMES).toContain(outcomeOf(() => resolveTransactionOptions(make() as never)))
    expect(OUTCOMES).toContain(outcomeOf(() => withPoolOptions(make() as never, () => {})))
    expect(OUTCOMES).toContain(outcomeOf(() => resolveDispose((make() ?? {}) as never)))
    expect(OUTCOMES).toContain(outcomeOf(() => resolveDrain(1000, (make() ?? {}) as never)))
    expect(OUTCOMES).toContain(outcomeOf(() => resolveDrain(make(), {})))
  })

  test.each(['isolationLevel', 'accessMode', 'deferrable'])(
    'an odd `%s` of a transaction is refused, unless it means the default',
    (mode) => {
      const isFine = make() === undefined || (make() === false && mode === 'deferrable')
      expect(outcomeOf(() => resolveTransactionOptions(given(mode, make())))).toBe(isFine ? 'accepted' : 'refused')
    },
  )

  test('pool.connect and pool.query reject an odd value as their argument', async () => {
    const pool = new Pool({ host: 'localhost', port: 1, connectRetry: false })
    const value = typeof make() === 'function' ? null : make()
    const third = pool.query('select 1', [], value as never) as unknown as Promise<unknown>
    const asked = await Promise.allSettled([pool.connect(value as never), third])
    for (const { reason } of asked as PromiseRejectedResult[]) expect(isError(reason)).toBe(true)
    await pool.end()
  })
})

test.each([
  [{ max: Symbol('many') }, '`max` must be a whole number from 1 on, got Symbol(many).'],
  [{ max: 7n }, '`max` must be a whole number from 1 on, got 7.'],
  [{ port: Symbol('door') }, '`port` must be a number from 0 to 65535, got Symbol(door).'],
  [{ connectionTimeoutMillis: Symbol('long') }, expect.stringContaining('`connectionTimeoutMillis` must be a number')],
])('%o is refused by an error that names the option', (options, problem) => {
  expect(refusalOf(() => new Pool(options as never))?.problems).toEqual([problem])
})
