import { expect, test } from 'vitest'
import { Statements } from '../../../packages/core/src/connection/statements.ts'

test('the driver sends one at a time: the next is sent when the one before has ended', () => {
  const statements = new Statements(false)
  const [first, second] = [statements.begin('first'), statements.begin('second')]
  expect([first.sent, second.sent]).toEqual([true, false])
  expect(statements.sentTexts()).toEqual(['first'])

  statements.end(first, true)
  expect(second.sent).toBe(true)
  expect(statements.sentTexts()).toEqual(['second'])
})

test('on a dead connection nothing more is sent', () => {
  const statements = new Statements(false)
  const [first, second] = [statements.begin('first'), statements.begin('second')]
  statements.end(first, false)
  expect(second.sent).toBe(false)
  expect(statements.sentTexts()).toEqual([])
})

test('a pipelining driver sends all at once', () => {
  const statements = new Statements(true)
  expect([statements.begin('first').sent, statements.begin('second').sent]).toEqual([true, true])
  expect(statements.sentTexts()).toEqual(['first', 'second'])
})

test('one that has ended can end again, to no effect', () => {
  const statements = new Statements(true)
  const first = statements.begin('first')
  statements.begin('second')
  statements.end(first, true)
  statements.end(first, true)
  expect(statements.sentTexts()).toEqual(['second'])
})

test('one without a text counts as one', () => {
  const statements = new Statements(false)
  statements.begin(undefined)
  expect(statements.sentTexts()).toEqual([undefined])
})
