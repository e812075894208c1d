import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

/** Runs a program as an application of ours would: in a process of its own, with the package as published. */
async function outputOf(inputType: 'commonjs' | 'module', program: string): Promise<unknown> {
  const { stdout } = await run(process.execPath, [`--input-type=${inputType}`, '--eval', program], {
    cwd: import.meta.dirname,
  })
  return JSON.parse(stdout)
}

test('require() from CommonJS gives the same classes as import()', async () => {
  const program = `
    const required = require('@holdfast/core')
    import('@holdfast/core').then((imported) => {
      const { Pool } = required
      console.log(JSON.stringify({
        same: Pool === imported.Pool && required.HoldfastError === imported.HoldfastError,
        isPgPool: new Pool() instanceof require('pg').Pool,
      }))
    })`
  expect(await outputOf('commonjs', program)).toEqual({ same: true, isPgPool: true })
})

test('the package exports what it promises, and nothing else', async () => {
  const program = `console.log(JSON.stringify(Object.keys(await import('@holdfast/core'))))`
  expect(await outputOf('module', program)).toEqual([
    'BudgetError',
    'CommitOutcomeUnknownError',
    'ConnectError',
    'ConnectionLostError',
    'HoldfastError',
    'ListenTimeoutError',
    'NoReplicaError',
    'NullPool',
    'OptionsError',
    'PingTimeoutError',
    'Pool',
    'PoolClosedError',
    'PoolDeadlockError',
    'PoolOverloadedError',
    'PoolTimeoutError',
    'ReleaseError',
    'TransactionRolledBackError',
    'TransactionStateError',
    'TransactionTimeoutError',
    'checkPool',
    'checkRunOptions',
    'isDisconnect',
    'isRetryable',
    'isSelect',
    'mayShare',
    'measure',
    'physicalClient',
    'readOn',
    'runTransaction',
    'sharedPool',
    'sharesReads',
    'withPoolOptions',
  ])
})

test('the inner files can not be reached from outside', async () => {
  const program = `
    import('@holdfast/core/dist/pool.js').then(
      () => console.log('"reached"'),
      (error) => console.log(JSON.stringify(error.code)),
    )`
  expect(await outputOf('module', program)).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED')
})

test('a pool that was never used lets the process end', async () => {
  const program = `
    import { Pool } from '@holdfast/core'
    new Pool()
    console.log('"done"')`
  expect(await outputOf('module', program)).toBe('done')
})

test('tests run the sources, so that no earlier build is tested in their place', async () => {
  const [byName, bySource] = await Promise.all([
    import('@holdfast/core'),
    import('../../packages/core/src/pool.ts') as Promise<{ Pool: unknown }>,
  ])
  expect(byName.Pool).toBe(bySource.Pool)
  expect(await outputOf('module', `console.log(JSON.stringify(import.meta.resolve('@holdfast/core')))`)).toBe(
    new URL('../../packages/core/src/index.ts', import.meta.url).href,
  )
})
