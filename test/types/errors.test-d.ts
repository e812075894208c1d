import {
  type CommitOutcome,
  ConnectError,
  ConnectionLostError,
  type HoldfastError,
  isDisconnect,
  isRetryable,
  type LossPhase,
  OptionsError,
  type PoolClosedError,
  PoolTimeoutError,
  type ReleaseError,
  type TransactionStateError,
} from '@holdfast/core'
import { expectTypeOf, test } from 'vitest'

test('every error is a HoldfastError, and has a code', () => {
  expectTypeOf<
    | ConnectError
    | ConnectionLostError
    | OptionsError
    | PoolClosedError
    | PoolTimeoutError
    | ReleaseError
    | TransactionStateError
  >().toExtend<HoldfastError>()
  expectTypeOf<HoldfastError>().toExtend<Error>()
  expectTypeOf<HoldfastError['code']>().toBeString()
})

test('instanceof tells the facts', () => {
  const error: unknown = undefined
  if (error instanceof ConnectionLostError) {
    expectTypeOf(error.phase).toEqualTypeOf<LossPhase>()
    expectTypeOf(error.sent).toBeBoolean()
    expectTypeOf(error.commitOutcome).toEqualTypeOf<CommitOutcome>()
  }
  if (error instanceof PoolTimeoutError) expectTypeOf(error.details.waitedMillis).toBeNumber()
  if (error instanceof ConnectError) expectTypeOf(error.endpoint.port).toBeNumber()
  if (error instanceof OptionsError) expectTypeOf(error.problems).toEqualTypeOf<readonly string[]>()
})

test('the questions take anything that was thrown', () => {
  expectTypeOf(isDisconnect).parameters.toEqualTypeOf<[unknown]>()
  expectTypeOf(isDisconnect).returns.toBeBoolean()
  expectTypeOf(isRetryable).parameters.toEqualTypeOf<[unknown]>()
  expectTypeOf(isRetryable).returns.toBeBoolean()
})
