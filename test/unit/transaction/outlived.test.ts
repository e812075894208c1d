import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { currentScope, withPoolOptions } from '../../../packages/core/src/runtime/pool-options-scope.ts'
import type { TransactionAttempt } from '../../../packages/core/src/runtime/transaction-attempt.ts'
import { runTransaction } from '../../../packages/core/src/transaction/run-transaction.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** More than fit on the stack if each job looked at all jobs before it. */
const JOBS = 25_000

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A transaction that ends a turn after its function, as with a server. */
function transaction<Result>(fn: () => Result, options = {}): Promise<Result> {
  return runTransaction<undefined, Result>(
    async (work) => {
      const result = await work(undefined)
      await turn()
      return result
    },
    fn as never,
    options,
  )
}

function around(attempt: TransactionAttempt | undefined): number {
  let count = 0
  for (let outer = attempt?.outer; outer; outer = outer.outer) count++
  return count
}

/** What applies to code that was started in `fn`, when the transaction has ended. */
async function afterTheEnd(fn: (runOn: (ask: () => unknown) => void) => unknown, options = {}): Promise<unknown[]> {
  let open: () => void = () => {}
  const isOver = new Promise<void>((resolve) => {
    open = resolve
  })
  const answers: Promise<unknown>[] = []
  await transaction(() => fn((ask) => void answers.push(isOver.then(ask))), options)
  open()
  return Promise.all(answers)
}

describe('jobs that start the next job in the function of their transaction', () => {
  test('jobs that start the next job in the function of their transaction keep nothing of the jobs before them', {
    timeout: 60_000,
  }, async () => {
    const lengths = new Set<number>()
    const first: WeakRef<TransactionAttempt>[] = []
    let heapBefore = 0
    await new Promise<void>((resolve, reject) => {
      let jobs = 0
      const job = (): void => {
        transaction(() => {
          const { attempt } = currentScope() ?? {}
          lengths.add(around(attempt))
          if (jobs++ < 10) first.push(new WeakRef(attempt as TransactionAttempt))
          if (jobs === 5000) {
            collectGarbage()
            heapBefore = process.memoryUsage().heapUsed
          }
          if (jobs === JOBS) resolve()
          else setImmediate(job)
        }).catch(reject)
      }
      job()
    })
    await turn()
    collectGarbage()
    // Before, each of them kept 1.5 KB: 30 MB.
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(8_000_000)
    expect(first.filter((attempt) => attempt.deref()).length).toBe(0)
    // Only the last one, which may not have ended.
    expect(Math.max(...lengths)).toBeLessThanOrEqual(1)
  })

  test('jobs that start the next job in a scope of their own keep nothing of the jobs before them', async () => {
    const { signal } = new AbortController()
    const first: WeakRef<TransactionAttempt>[] = []
    await new Promise<void>((resolve, reject) => {
      let jobs = 0
      const job = (): void => {
        withPoolOptions({ signal, connectionTimeoutMillis: 5 }, () =>
          transaction(() => {
            if (jobs++ < 10) first.push(new WeakRef(currentScope()?.attempt as TransactionAttempt))
            if (jobs === 1000) resolve()
            else setImmediate(job)
          }),
        ).catch(reject)
      }
      job()
    })
    await turn()
    await turn()
    collectGarbage()
    expect(first.filter((attempt) => attempt.deref()).length).toBe(0)
  })
})

describe('when a transaction has ended', () => {
  const { signal } = new AbortController()

  test('code that was started in a transaction is in no scope once it has ended', async () => {
    const ask = (): unknown => currentScope()
    expect(await afterTheEnd((runOn) => runOn(ask), { signal })).toEqual([undefined])
  })

  test('code that was started in a transaction is in the scope around it once it has ended', async () => {
    const ask = (): unknown => currentScope()
    const options = { connectionTimeoutMillis: 7 }
    const answers = await withPoolOptions(options, () =>
      afterTheEnd((runOn) => runOn(ask), { signal, resetOnReturn: 'discard' }),
    )
    expect(answers).toEqual([options])
  })

  test('a scope that was opened in a transaction still applies once it has ended', async () => {
    const ask = (): unknown => currentScope()
    const answers = await withPoolOptions({ connectionTimeoutMillis: 7 }, () =>
      afterTheEnd((runOn) => withPoolOptions({ resetOnReturn: 'none' }, () => runOn(ask)), { signal }),
    )
    expect(answers).toEqual([{ connectionTimeoutMillis: 7, resetOnReturn: 'none' }])
  })

  test('code that was started in an inner transaction is part of the outer one once the inner one has ended', async () => {
    let inner: unknown
    let outer: unknown
    await transaction(async () => {
      outer = currentScope()?.attempt
      const [attempt] = await afterTheEnd((runOn) => runOn(() => currentScope()?.attempt))
      inner = attempt
    })
    expect(outer).toBeDefined()
    expect(inner).toBe(outer)
  })

  test('a new transaction is part of neither the inner nor the outer one once both have ended', async () => {
    let late: (() => Promise<unknown>) | undefined
    await transaction(() =>
      transaction(() => {
        const isOver = turn().then(turn).then(turn).then(turn)
        late = () => isOver.then(() => transaction(() => around(currentScope()?.attempt)))
      }),
    )
    expect(await late?.()).toBe(0)
  })

  test('the signal of a transaction has no listener left once it has ended', async () => {
    const { signal } = new AbortController()
    let listeners = 0
    Object.assign(signal, {
      addEventListener: () => void listeners++,
      removeEventListener: () => void listeners--,
    })
    await transaction(() => expect(listeners).toBeGreaterThan(0), { signal })
    expect(listeners).toBe(0)
  })
})
