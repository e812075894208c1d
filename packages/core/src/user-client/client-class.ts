import { Client } from 'pg'
import { checkDriver } from '../driver/check-driver.ts'
import { OptionsError } from '../errors.ts'
import { propertyOf } from '../thrown.ts'
import { isForeign, standInClient } from './foreign-client.ts'

/**
 * The class to derive the pool's clients from, for the class that the user has set. A class that is no client is replaced by
 * one whose `connect` rejects: first with the class's own error, if it has one.
 *
 * @throws {OptionsError} for pg-native, whose socket can't be watched, and for a driver that lacks a part.
 */
export function usableClientClass(base: typeof Client): typeof Client {
  if (typeof base !== 'function' || !hasSocket(base))
    throw new OptionsError([
      '`Client` must be the JavaScript client of pg: pg-native has no socket that could be watched.',
    ])
  const usable = isForeign(base) ? standInClient(base as never) : base
  checkDriver(usable)
  return usable
}

/** Whether a class has its own way to send statements. */
export function hasOwnQuery(base: typeof Client): boolean {
  return base.prototype.query !== Client.prototype.query
}

/** Whether it is neither pg-native nor a class that hides its prototype. */
function hasSocket(base: typeof Client): boolean {
  const prototype = propertyOf(base, 'prototype')
  try {
    return typeof prototype === 'object' && prototype !== null && !('isConnected' in prototype)
  } catch {
    return false
  }
}
