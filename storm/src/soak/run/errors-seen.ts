import type { ErrorFacts, Operation } from '../../workload/operation.ts'
import type { SoakRecord } from './record.ts'

/** Records how an operation ended. For reads there is nothing to compare in the database, so only errors are counted. */
export function take(record: SoakRecord, operation: Operation): void {
  const { error, key } = operation
  if (key !== '') record.operations.push(operation)
  if (!error) return
  const name = error.code === undefined ? error.name : `${error.name} ${error.code}`
  record.errors.set(name, (record.errors.get(name) ?? 0) + 1)
  if (isBug(error)) record.bugs.add(`${error.name}: ${error.message}`)
}

/** Errors that no fault explains: they show a mistake in the code. */
function isBug({ name, message }: ErrorFacts): boolean {
  return message.startsWith('BUG') || ['TypeError', 'ReferenceError', 'RangeError', 'AssertionError'].includes(name)
}
