import { describe, expect, test } from 'vitest'
import { type Loss, lossError } from '../../../packages/core/src/errors.ts'
import { isRetryable, judgeRerun } from '../../../packages/core/src/policy/retry.ts'
import { markTooSlow, wasTooSlow } from '../../../packages/core/src/policy/slowness.ts'
import { ReadsAgain } from '../../../packages/core/src/rerun/read-again.ts'
import { hasRunOut, Reruns } from '../../../packages/core/src/rerun/reruns.ts'
import { type PoolEvent, Publisher } from '../../../packages/core/src/telemetry/events.ts'
import { serverError } from '../../support/fake-client.ts'

function lost(cause: unknown, facts: Partial<Loss> = {}): Error {
  const loss: Loss = { cause, phase: 'query', commitOutcome: 'aborted', statementOutcome: 'rolled-back', ...facts }
  return lossError(loss, true)
}

const killed = serverError('57P01', 'terminating connection due to administrator command')
const pooler = (message: string): Error => Object.assign(new Error(message), { code: '08P01', severity: 'FATAL' })
const AWAY = pooler('server login has been failing, try again later (server_login_retry)')

function recorded(): { readonly publisher: Publisher; readonly events: PoolEvent[] } {
  const events: PoolEvent[] = []
  const publisher = new Publisher('default')
  publisher.subscribe((event) => events.push(event))
  return { publisher, events }
}

describe('whether a statement runs again', () => {
  test('a statement that was rolled back, or never ran, does', () => {
    expect(judgeRerun(lost(killed))).toEqual({ reason: 'rolled-back', isRefusal: false })
    expect(judgeRerun(lost(killed, { statementOutcome: 'never-ran' }))).toEqual({
      reason: 'never-ran',
      isRefusal: false,
    })
    expect(judgeRerun(lost(AWAY, { statementOutcome: 'never-ran' }))).toEqual({ reason: 'never-ran', isRefusal: true })
  })

  test('a statement that may be written, or is, does not', () => {
    expect(judgeRerun(lost(killed, { statementOutcome: 'unknown' }))).toBeUndefined()
    expect(judgeRerun(lost(killed, { statementOutcome: 'committed' }))).toBeUndefined()
  })

  test('an SQL error comes again, unless a parallel worker was terminated', () => {
    expect(judgeRerun(serverError('23505', 'duplicate key'))).toBeUndefined()
    const worker = { code: '57P01', severity: 'ERROR', routine: 'ProcessInterrupts' }
    expect(judgeRerun(Object.assign(new Error('terminating'), worker))).toEqual({
      reason: 'rolled-back',
      isRefusal: false,
    })
  })

  test('a statement that a pooler refuses for good does not', () => {
    expect(judgeRerun(lost(pooler('no such database: x'), { statementOutcome: 'never-ran' }))).toBeUndefined()
  })

  test.each([
    ['query_timeout', markTooSlow(new Error('Query read timeout'))],
    ['statement_timeout', serverError('57014', 'canceling statement')],
    ['idle_in_transaction_session_timeout', serverError('25P03', 'terminating')],
    ['transaction_timeout', serverError('25P04', 'terminating')],
    ["a pooler's query_timeout", pooler('query timeout')],
    ["a pooler's idle_transaction_timeout", pooler('idle transaction timeout')],
    ["a pooler's transaction_timeout", pooler('transaction timeout')],
  ])('what met %s does not, nor does its transaction', (_what, cause) => {
    expect(wasTooSlow(cause)).toBe(true)
    expect(judgeRerun(lost(cause))).toEqual({ whyNot: 'it was ended because it took too long' })
    expect(isRetryable(lost(cause, { phase: 'transaction' }))).toBe(false)
  })

  test.each([
    ['an administrator', killed],
    ['idle_session_timeout', serverError('57P05', 'terminating')],
    ['a reset', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })],
  ])('the transaction whose session was ended by %s does', (_what, cause) => {
    expect(isRetryable(lost(cause, { phase: 'transaction' }))).toBe(true)
  })
})

describe('the reruns of one statement', () => {
  const client = { query: () => {} } as never
  const done = (): void => {}

  test('are three at most, and each is published', () => {
    const { publisher, events } = recorded()
    const reruns = new Reruns({ query: 'select 1', values: undefined }, { publisher, reads: new ReadsAgain(true) })
    for (let attempt = 2; attempt <= 4; attempt++) {
      expect(reruns.afterError(lost(killed))).toMatchObject({ reason: 'rolled-back' })
      reruns.run(client, done)
      expect(events.at(-1)).toMatchObject({ type: 'statement-retried', reason: 'rolled-back', attempt })
    }
    const last = lost(killed)
    expect(reruns.afterError(last)).toBeUndefined()
    expect(last.message).toMatch(/not run again: it has run 4 times$/)
    expect(hasRunOut(last)).toBe(true)
    expect(events).toHaveLength(3)
  })

  test('have no limit but the deadline while a pooler has no server', () => {
    const { publisher } = recorded()
    const reruns = new Reruns({ query: 'select 1', values: undefined }, { publisher, reads: new ReadsAgain(true) })
    for (let time = 1; time <= 20; time++) {
      expect(reruns.afterError(lost(AWAY, { statementOutcome: 'never-ran' }))).toBeDefined()
      reruns.run(client, done)
    }
  })

  test('are none for a cursor or a stream, which have been used', () => {
    const { publisher } = recorded()
    const reruns = new Reruns(
      { query: { submit: () => {} }, values: undefined },
      { publisher, reads: new ReadsAgain(true) },
    )
    expect(reruns.afterError(lost(killed))).toBeUndefined()
  })

  test('say why there is none, if the statement did nothing', () => {
    const { publisher } = recorded()
    const reruns = new Reruns({ query: 'select 1', values: undefined }, { publisher, reads: new ReadsAgain(true) })
    const slow = lost(serverError('25P04', 'terminating'))
    reruns.afterError(slow)
    expect(slow.message).toMatch(/which was rolled back.*not run again: it was ended because it took too long$/)
    const unknown = lost(killed, { statementOutcome: 'unknown' })
    reruns.afterError(unknown)
    expect(unknown.message).not.toMatch(/not run again/)
  })
})

describe('the reruns of a plain read that may have run', () => {
  const client = { query: () => {} } as never
  const unknown = { statementOutcome: 'unknown', commitOutcome: 'unknown' } as const
  const loss = (): Error => lost(serverError('57P01', 'terminating', 'FATAL'), unknown)

  /** Reads whose runs end with what `end` makes of the loss before. */
  function readsThat(end: (before: Error) => Error | null): Pick<ReadsAgain, 'mayRun' | 'run'> {
    return {
      mayRun: () => true,
      run: (_client, _call, before, onRun, told) => {
        onRun()
        told(end(before), undefined as never)
      },
    }
  }

  function startedWith(end: (before: Error) => Error | null): { reruns: Reruns; events: PoolEvent[] } {
    const { publisher, events } = recorded()
    const reads = readsThat(end) as ReadsAgain
    const reruns = new Reruns({ query: 'select 1', values: undefined }, { publisher, reads })
    expect(reruns.afterError(loss())).toMatchObject({ reason: 'plain-read' })
    return { reruns, events }
  }

  function run(reruns: Reruns): Error {
    let told: Error | null | undefined
    reruns.run(client, (error) => {
      told = error
    })
    return told as Error
  }

  test('are three at most, each in a transaction that only reads, whatever is known of the later ones', () => {
    const { reruns, events } = startedWith(() => lost(killed))
    for (let attempt = 2; attempt <= 3; attempt++) {
      const error = run(reruns)
      expect(error).toMatchObject(unknown)
      expect(reruns.afterError(error)).toMatchObject({ reason: 'plain-read' })
    }
    const last = run(reruns)
    expect(reruns.afterError(last)).toBeUndefined()
    expect(last.message).toMatch(/not run again: it has run 4 times$/)
    expect(hasRunOut(last)).toBe(true)
    expect(events).toMatchObject([2, 3, 4].map((attempt) => ({ reason: 'plain-read', attempt })))
  })

  test('are over when the server has refused one of them', () => {
    const { reruns } = startedWith((before) => before)
    expect(reruns.afterError(run(reruns))).toBeUndefined()
  })

  test('are over when one of them has ended with an error of its own', () => {
    const { reruns } = startedWith(() => serverError('22012', 'division by zero'))
    expect(reruns.afterError(run(reruns))).toBeUndefined()
  })

  test('are over when one of them took too long', () => {
    const { reruns } = startedWith(() => lost(markTooSlow(new Error('Query read timeout'))))
    const error = run(reruns)
    expect(reruns.afterError(error)).toBeUndefined()
    expect(wasTooSlow(error)).toBe(true)
  })

  test('have no limit but the deadline while a pooler has no server', () => {
    const { reruns } = startedWith(() => lost(AWAY, { statementOutcome: 'never-ran' }))
    for (let time = 1; time <= 20; time++) expect(reruns.afterError(run(reruns))).toBeDefined()
  })
})
