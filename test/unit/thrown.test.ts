import { describe, expect, test, vi } from 'vitest'
import { ConnectError, ConnectionLostError } from '../../packages/core/src/errors.ts'
import {
  endsSession,
  isCausedBy,
  isDisconnect,
  refusalOf,
  severityOf,
} from '../../packages/core/src/policy/classify-error.ts'
import { reachOf } from '../../packages/core/src/policy/reach.ts'
import { isRetryable, mayAskAgain, mayConnectAgain } from '../../packages/core/src/policy/retry.ts'
import { Publisher } from '../../packages/core/src/telemetry/events.ts'
import { reasonOf } from '../../packages/core/src/telemetry/log-text.ts'
import {
  codeOf,
  errorsIn,
  isError,
  messageOf,
  nameOf,
  propertyOf,
  stackOf,
  textOf,
  toError,
} from '../../packages/core/src/thrown.ts'
import { ODD_VALUES } from '../support/odd-values.ts'

describe.each(ODD_VALUES)('%s', (_name, make) => {
  test('an odd value that is thrown has a text', () => {
    for (const words of [textOf, messageOf, stackOf, reasonOf]) expect(words(make())).toEqual(expect.any(String))
  })

  test('an odd value that is thrown becomes an error', () => {
    const given = make()
    const error = toError(given)
    expect(isError(error)).toBe(true)
    expect(Object.is(error, given) || Object.is(error.cause, given)).toBe(true)
  })

  test('an odd value that is thrown has a code and a name that are texts, if any', () => {
    for (const read of [codeOf, nameOf]) expect(typeof (read(make()) ?? '')).toBe('string')
    expect(Array.isArray(errorsIn(make()))).toBe(true)
  })

  test('an odd value that is thrown is neither a disconnect nor retryable', () => {
    for (const classify of [isDisconnect, isRetryable, endsSession, mayAskAgain]) expect(classify(make())).toBe(false)
    expect(mayConnectAgain(make(), false)).toBe(false)
    expect(reachOf(make())).toBe('unclear')
    expect(refusalOf(make())).toBeUndefined()
    expect(severityOf(make())).toBeUndefined()
    expect(isCausedBy(make(), new Error('another'))).toBe(false)
  })

  test('an odd value may be the cause of a loss, and of a failure to connect', () => {
    const cause = make()
    const lost = new ConnectionLostError({ cause, phase: 'query', commitOutcome: 'aborted' }, true)
    expect([lost.code, isRetryable(lost), isDisconnect(lost)]).toEqual(['08006', true, true])
    const refused = new ConnectError({ host: 'h', port: 1, database: undefined }, cause)
    expect(refused.code).toBe('08001')
  })

  test('an odd value may be what a listener throws', () => {
    using warning = vi.spyOn(process, 'emitWarning').mockReturnValue()
    const publisher = new Publisher('odd')
    const heard: string[] = []
    const fail = (): never => {
      throw make()
    }
    publisher.subscribe(fail)
    publisher.subscribe(
      () => {},
      () => fail,
    )
    publisher.subscribe(({ type }) => heard.push(type))
    publisher.publish({ type: 'pool-closed' })
    expect(heard).toEqual(['pool-closed'])
    expect(warning).toHaveBeenCalledTimes(2)
  })
})

test('an AggregateError that contains itself is classified by the other errors in it', () => {
  const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  const outer = new AggregateError([], '')
  outer.errors.push(outer, new AggregateError([refused, outer], ''))
  expect(mayConnectAgain(outer, false)).toBe(true)
  expect(messageOf(outer)).toContain('refused')
})

test('an error that wraps an odd value is classified by itself', () => {
  for (const [, make] of ODD_VALUES) {
    const error = Object.assign(new Error('conflict'), { code: '40001', cause: make(), driverError: make() })
    expect(isRetryable(error)).toBe(true)
  }
})

test('property() reads a property of any value that has it', () => {
  expect(propertyOf({ a: 1 }, 'a')).toBe(1)
  expect(propertyOf(() => {}, 'length')).toBe(0)
  expect(propertyOf('text', 'length')).toBeUndefined()
})
