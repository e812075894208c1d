import { expect } from 'vitest'
import type { Subject } from '../subject.ts'

/** An error with the properties that tests look at. */
export type Thrown = Error & Record<string, unknown>

/** An error and its causes, as an application can find them. */
export function causesOf(error: unknown): Thrown[] {
  const causes: Thrown[] = []
  let each = error as Thrown | undefined
  while (typeof each === 'object' && each !== null && !causes.includes(each)) {
    causes.push(each)
    each = (each.driverError ?? each.cause) as Thrown | undefined
  }
  return causes
}

/** Expects an error with these facts among the error that the application got and its causes. */
export function expectCause(error: unknown, facts: object): void {
  const reached = causesOf(error).map((each) => ({ ...each, name: each.name, message: each.message }))
  expect(reached).toEqual(expect.arrayContaining([expect.objectContaining(facts)]))
}

/**
 * As {@link expectLoss}, where the connection was lost between two statements. A subject that hides such losses only says
 * that its client is released.
 */
export function expectIdleLoss({ limits }: Subject, error: unknown, facts: object = {}): void {
  if (limits?.includes('hides losses')) expect((error as Error).name).toMatch(/AlreadyReleasedError$/)
  else expectLoss(error, facts)
}

/** Expects the loss of a connection among the error that the application got and its causes. */
export function expectLoss(error: unknown, facts: object = {}): void {
  expectCause(error, { name: 'ConnectionLostError', ...facts })
}
