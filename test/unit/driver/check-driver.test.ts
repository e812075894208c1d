import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { checkDriver } from '../../../packages/core/src/driver/internals.ts'
import { OptionsError } from '../../../packages/core/src/errors.ts'

type Prototype = Record<string, unknown>

const restores: (() => void)[] = []

/** Removes a part of the driver until the test has ended. */
function without(holder: object, part: string): void {
  const prototype = holder as Prototype
  const descriptor = Object.getOwnPropertyDescriptor(prototype, part) as PropertyDescriptor
  delete prototype[part]
  restores.push(() => Object.defineProperty(prototype, part, descriptor))
}

afterEach(() => {
  for (const restore of restores.splice(0)) restore()
})

/** A class that was not checked before. */
function anotherClass(): typeof pg.Client {
  return class extends pg.Client {}
}

function problemWith(base: typeof pg.Client): string {
  try {
    checkDriver(base)
  } catch (error) {
    expect(error).toBeInstanceOf(OptionsError)
    return (error as Error).message
  }
  return ''
}

test('the installed driver has all parts, and so has a class that is derived from its client', () => {
  expect(problemWith(pg.Client)).toBe('')
  expect(problemWith(anotherClass())).toBe('')
})

describe('a version of pg is refused by the name of the part that it lacks:', () => {
  const { Query, Result, Connection } = pg as unknown as Record<string, { prototype: object }>
  test.each([
    { what: 'Client.prototype.getTransactionStatus', holder: pg.Client.prototype, part: 'getTransactionStatus' },
    { what: 'Client.prototype._pulseQueryQueue', holder: pg.Client.prototype, part: '_pulseQueryQueue' },
    { what: 'Query.prototype.submit', holder: Query?.prototype as object, part: 'submit' },
    { what: 'Result.prototype.addFields', holder: Result?.prototype as object, part: 'addFields' },
    {
      what: 'client.connection.attachListeners',
      holder: Connection?.prototype as object,
      part: 'attachListeners',
    },
  ])('a version of pg without $what is refused by that name', ({ what, holder, part }) => {
    without(holder, part)
    expect(problemWith(anotherClass())).toMatch(
      new RegExp(
        `^pg \\d+\\.\\d+\\.\\d+ lacks \`${what}\`, which Holdfast relies on: it works with pg >=8\\.21 <9\\.$`,
      ),
    )
  })
})

test('a class that is not of pg is refused by the name of the part that it lacks', () => {
  class Other {
    query(): void {}
    connect(): void {}
  }
  expect(problemWith(Other as never)).toContain('lacks `Client.prototype.end`')
})

test('checks each class once', () => {
  const base = anotherClass()
  expect(problemWith(base)).toBe('')
  without(pg.Client.prototype, 'getTransactionStatus')
  expect(problemWith(base)).toBe('')
})
