import { afterAll, describe, expect, test, vi } from 'vitest'
import { OptionsError } from '../../../packages/core/src/errors.ts'
import { NullPool } from '../../../packages/core/src/null-pool.ts'
import { resolveDispose } from '../../../packages/core/src/options/call-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/resolved-options.ts'
import { Pool } from '../../../packages/core/src/pool.ts'
import { withPoolOptions } from '../../../packages/core/src/runtime/pool-options-scope.ts'
import { isError } from '../../../packages/core/src/thrown.ts'
import { resolveRunOptions } from '../../../packages/core/src/transaction/run-options.ts'
import { resolveTransactionOptions } from '../../../packages/core/src/transaction/transaction-options.ts'
import { ODD_VALUES } from '../../support/odd-values.ts'

// The last connection that any of these would open has been asked for: what is tried is how they are read.
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

/** What is told; nothing if it is taken as good. What is no OptionsError is a failure of the test. */
function refusalOf(act: () => unknown): OptionsError | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (isError(error) && error.constructor === OptionsError) return error as OptionsError
    throw new Error('It was refused by something else than an OptionsError', { cause: error })
  }
}

/** How it was received: never in another way than one of these. */
function receptionOf(act: () => unknown): 'refused' | 'taken' {
  return refusalOf(act) ? 'refused' : 'taken'
}

const RECEPTIONS = ['refused', 'taken']

describe.each(ODD_VALUES)('%s', (_name, make) => {
  test.each([...POOL, ...PG, ...GROUPS])('as `%s` of a pool is refused by an OptionsError, or taken', (option) => {
    const said = option === 'poolSize' ? 'max' : (option.split('.')[0] as string)
    const message = refusalOf(() => new Pool(given(option, make())))?.message ?? `\`${said}\` was taken`
    expect(message).toContain(`\`${said}`)
  })

  test('as the options of a pool is refused, or taken for none', () => {
    const possible = make() === undefined ? ['taken'] : RECEPTIONS
    for (const Class of [Pool, NullPool]) expect(possible).toContain(receptionOf(() => new Class(make() as never)))
  })

  test.each(RUN)('as `%s` of a transaction, a scope or a call is refused by an OptionsError, or taken', (option) => {
    expect(RECEPTIONS).toContain(receptionOf(() => resolveTransactionOptions(given(option, make()))))
    expect(RECEPTIONS).toContain(receptionOf(() => resolveRunOptions('transaction', given(option, make()))))
    expect(RECEPTIONS).toContain(receptionOf(() => withPoolOptions(given(option, make()), () => {})))
  })

  test('as the options of a call is refused by an OptionsError, or taken', () => {
    expect(RECEPTIONS).toContain(receptionOf(() => resolveTransactionOptions(make() as never)))
    expect(RECEPTIONS).toContain(receptionOf(() => withPoolOptions(make() as never, () => {})))
    expect(RECEPTIONS).toContain(receptionOf(() => resolveDispose((make() ?? {}) as never)))
  })

  test.each(['isolationLevel', 'accessMode', 'deferrable'])('as `%s` is refused, unless it is nothing', (mode) => {
    const isFine = make() === undefined || (make() === false && mode === 'deferrable')
    expect(receptionOf(() => resolveTransactionOptions(given(mode, make())))).toBe(isFine ? 'taken' : 'refused')
  })

  test('as an argument of pool.connect and pool.query is told by a rejection', async () => {
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
])('%o is refused, naming the option', (options, problem) => {
  expect(refusalOf(() => new Pool(options as never))?.problems).toEqual([problem])
})
