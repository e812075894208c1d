import { test as base } from '../../faults/support/aimed-test.ts'
import type { Database, Subject } from '../subject.ts'
import type { Place } from './health.ts'
import { open } from './open.ts'

/** A test of the contract with this subject. */
export function contractTest(subject: Subject) {
  return (
    base
      .extend('place', ({ cluster, applicationName }): Place => ({ cluster, applicationName }))
      /** The subject on a pool of one connection. A test that needs other options opens its own. */
      .extend('database', async ({ direct }, { onCleanup }): Promise<Database> => {
        const database = await open(subject, { ...direct, max: 1 })
        onCleanup(() => database[Symbol.asyncDispose]())
        return database
      })
  )
}
