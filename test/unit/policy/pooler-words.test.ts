import { describe, expect, test } from 'vitest'
import { mayConnectAgain } from '../../../packages/core/src/policy/classify-error.ts'
import { POOLER_WORDS, poolerMeaning } from '../../../packages/core/src/policy/pooler-words.ts'
import { serverError } from '../../support/fake-client.ts'
import { POOLER_SAYINGS } from '../../support/pooler-sayings.ts'

describe.each(POOLER_SAYINGS)('FATAL %s "%s"', (code, message, meaning) => {
  const error = serverError(code, message, 'FATAL')

  test(`means "${meaning}"`, () => {
    expect(poolerMeaning(error)).toBe(meaning)
  })

  test('comes from a server itself if it names a routine, and then means what its code says', () => {
    expect(
      poolerMeaning(Object.assign(serverError(code, message, 'FATAL'), { routine: 'ProcessInterrupts' })),
    ).toBeUndefined()
    expect(poolerMeaning(serverError(code, message, 'ERROR'))).toBeUndefined()
  })

  test(`while connecting ${meaning === 'final' ? 'is told at once' : 'passes'}`, () => {
    expect(mayConnectAgain(error, false)).toBe(meaning !== 'final')
  })
})

test('each line of the table is said by one of these', () => {
  const unsaid = POOLER_WORDS.filter(
    (line) => !POOLER_SAYINGS.some(([code, message]) => code === line.code && line.words.test(message)),
  )
  expect(unsaid).toEqual([])
})

test('each line of the table names its source', () => {
  expect(POOLER_WORDS.filter(({ source }) => source.length < 20)).toEqual([])
})

test.each([
  ['08P01', 'invalid message format'],
  ['57P01', 'terminating connection due to administrator command'],
  ['XX000', 'could not open relation'],
])('FATAL %s "%s" is no word of a pooler', (code, message) => {
  expect(poolerMeaning(serverError(code, message, 'FATAL'))).toBeUndefined()
})

test.each([undefined, null, 'query_wait_timeout', new Error('query_wait_timeout')])('%s is none either', (error) => {
  expect(poolerMeaning(error)).toBeUndefined()
})
