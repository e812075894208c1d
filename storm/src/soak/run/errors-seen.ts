import type { ErrorFacts, Operation } from '../../workload/operation.ts'
import type { SoakRecord } from './record.ts'

/** Takes down how an operation ended. What only read has no truth to be held against: its error is counted. */
export function take(record: SoakRecord, operation: Operation): void {
  const { error, key } = operation
  if (key !== '') record.operations.push(operation)
  if (!error) return
  const name = error.code === undefined ? error.name : `${error.name} ${error.code}`
  record.errors.set(name, (record.errors.get(name) ?? 0) + 1)
  if (isBug(error)) record.bugs.add(`${error.name}: ${error.message}`)
}

/** Whatever a storm does to a service, these say that somebody has made a mistake. */
function isBug({ name, message }: ErrorFacts): boolean {
  return message.startsWith('BUG') || ['TypeError', 'ReferenceError', 'RangeError', 'AssertionError'].includes(name)
}
