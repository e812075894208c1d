import { expect } from 'vitest'
import type { Subject } from '../subject.ts'

/** Something that was thrown, as far as tests look at it. */
export type Thrown = Error & Record<string, unknown>

/** An error and all that it was caused by, as an application can find them. */
export function causesOf(error: unknown): Thrown[] {
  const causes: Thrown[] = []
  let each = error as Thrown | undefined
  while (typeof each === 'object' && each !== null && !causes.includes(each)) {
    causes.push(each)
    each = (each.driverError ?? each.cause) as Thrown | undefined
  }
  return causes
}

/** Expects that an error with these facts can be reached from the one that the application got. */
export function expectCause(error: unknown, facts: object): void {
  const reached = causesOf(error).map((each) => ({ ...each, name: each.name, message: each.message }))
  expect(reached).toEqual(expect.arrayContaining([expect.objectContaining(facts)]))
}

/**
 * As {@link expectLoss}, where the connection was lost between two statements: a subject that hides such losses says that
 * it has given up, and no more.
 */
export function expectIdleLoss({ limits }: Subject, error: unknown, facts: object = {}): void {
  if (limits?.includes('hides losses')) expect((error as Error).name).toMatch(/AlreadyReleasedError$/)
  else expectLoss(error, facts)
}

/** Expects that the loss of a connection can be reached, and what it was caused by, too. */
export function expectLoss(error: unknown, facts: object = {}): void {
  expectCause(error, { name: 'ConnectionLostError', ...facts })
}
