import { expect, test } from 'vitest'
import { InFlight } from '../../../packages/core/src/connection/statements.ts'

const textsSent = ({ sent }: InFlight): (string | undefined)[] => sent.map(({ text }) => text)

test('counts the next statement as sent when the one before it has ended', () => {
  const statements = new InFlight(false)
  const [first, second] = [statements.begin('first', 0), statements.begin('second', 0)]
  expect([first.sent, second.sent]).toEqual([true, false])
  expect(textsSent(statements)).toEqual(['first'])

  statements.end(first, 'answered', true)
  expect(second.sent).toBe(true)
  expect(textsSent(statements)).toEqual(['second'])
})

test('counts no further statement as sent on a dead connection', () => {
  const statements = new InFlight(false)
  const [first, second] = [statements.begin('first', 0), statements.begin('second', 0)]
  statements.end(first, 'answered', false)
  expect(second.sent).toBe(false)
  expect(textsSent(statements)).toEqual([])
})

test('counts all statements as sent in pipeline mode', () => {
  const statements = new InFlight(true)
  expect([statements.begin('first', 0).sent, statements.begin('second', 0).sent]).toEqual([true, true])
  expect(textsSent(statements)).toEqual(['first', 'second'])
})

test('ignores the second end of a statement', () => {
  const statements = new InFlight(true)
  const first = statements.begin('first', 0)
  statements.begin('second', 0)
  statements.end(first, 'answered', true)
  statements.end(first, 'answered', true)
  expect(textsSent(statements)).toEqual(['second'])
})

test('counts a statement without a text', () => {
  const statements = new InFlight(false)
  statements.begin(undefined, 0)
  expect(textsSent(statements)).toEqual([undefined])
})

test('counts a failed statement until the server is ready again', () => {
  const statements = new InFlight(false)
  const failed = statements.begin('insert into t values (1); commit; select 1/0', 0)
  statements.end(failed, 'failed', true)
  expect(statements.isEmpty).toBe(true)
  expect(textsSent(statements)).toEqual(['insert into t values (1); commit; select 1/0'])
  statements.forgetFailed()
  expect(textsSent(statements)).toEqual([])
})
