import { propertyOf } from '../thrown.ts'

/** What the server calls the severity of its message; undefined for whatever isn't the server's. */
export function severityOf(error: unknown): unknown {
  return propertyOf(error, 'severity')
}
