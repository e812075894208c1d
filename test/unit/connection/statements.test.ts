import { expect, test } from 'vitest'
import { Statements } from '../../../packages/core/src/connection/statements.ts'

test('the driver sends one at a time: the next is sent when the one before has ended', () => {
  const statements = new Statements(false)
  const [first, second] = [statements.begin('first', 0), statements.begin('second', 0)]
  expect([first.sent, second.sent]).toEqual([true, false])
  expect(statements.sentTexts()).toEqual(['first'])

  statements.end(first, true)
  expect(second.sent).toBe(true)
  expect(statements.sentTexts()).toEqual(['second'])
})

test('on a dead connection nothing more is sent', () => {
  const statements = new Statements(false)
  const [first, second] = [statements.begin('first', 0), statements.begin('second', 0)]
  statements.end(first, false)
  expect(second.sent).toBe(false)
  expect(statements.sentTexts()).toEqual([])
})

test('a pipelining driver sends all at once', () => {
  const statements = new Statements(true)
  expect([statements.begin('first', 0).sent, statements.begin('second', 0).sent]).toEqual([true, true])
  expect(statements.sentTexts()).toEqual(['first', 'second'])
})

test('one that has ended can end again, to no effect', () => {
  const statements = new Statements(true)
  const first = statements.begin('first', 0)
  statements.begin('second', 0)
  statements.end(first, true)
  statements.end(first, true)
  expect(statements.sentTexts()).toEqual(['second'])
})

test('one without a text counts as one', () => {
  const statements = new Statements(false)
  statements.begin(undefined, 0)
  expect(statements.sentTexts()).toEqual([undefined])
})
