import { describe, expect, test } from 'vitest'
import { isOfPooler, POOLER_WORDS, poolerMeaning } from '../../../packages/core/src/policy/pooler-words.ts'
import { mayConnectAgain } from '../../../packages/core/src/policy/retry.ts'
import { serverError } from '../../support/fake-client.ts'
import { POOLER_SAYINGS } from '../../support/pooler-sayings.ts'

describe.each(POOLER_SAYINGS)('FATAL %s "%s"', (code, message, meaning) => {
  const error = serverError(code, message, 'FATAL')

  test(`these words of a pooler mean "${meaning}"`, () => {
    expect(poolerMeaning(error)).toBe(meaning)
  })

  test('these words mean what their code says if they name a routine, since then a server itself has said them', () => {
    expect(
      poolerMeaning(Object.assign(serverError(code, message, 'FATAL'), { routine: 'ProcessInterrupts' })),
    ).toBeUndefined()
    expect(poolerMeaning(serverError(code, message, 'ERROR'))).toBeUndefined()
  })

  test(`these words while connecting ${meaning === 'final' ? 'are told to the caller at once' : 'let the caller wait'}`, () => {
    expect(mayConnectAgain(error, false)).toBe(meaning !== 'final')
  })
})

test("each line of the table of poolers' words is said by one of the samples", () => {
  const unsaid = POOLER_WORDS.filter(
    (line) => !POOLER_SAYINGS.some(([code, message]) => code === line.code && line.words.test(message)),
  )
  expect(unsaid).toEqual([])
})

test("each line of the table of poolers' words names its source", () => {
  expect(POOLER_WORDS.filter(({ source }) => source.length < 20)).toEqual([])
})

test.each([
  ['08P01', 'invalid message format'],
  ['57P01', 'terminating connection due to administrator command'],
  ['XX000', 'could not open relation'],
])('FATAL %s "%s" is no word of a pooler', (code, message) => {
  expect(poolerMeaning(serverError(code, message, 'FATAL'))).toBeUndefined()
})

test('a refused login shows a pooler only if the words are those of one', () => {
  expect(isOfPooler(serverError('08P01', 'no more connections allowed (max_client_conn)', 'FATAL'))).toBe(true)
  expect(isOfPooler(serverError('53300', 'sorry, too many clients already', 'FATAL'))).toBe(false)
  expect(isOfPooler(serverError('08P01', 'query_wait_timeout', 'ERROR'))).toBe(false)
})

test.each([undefined, null, 'query_wait_timeout', new Error('query_wait_timeout')])(
  '%s is no word of a pooler',
  (error) => {
    expect(poolerMeaning(error)).toBeUndefined()
  },
)
