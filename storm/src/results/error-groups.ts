import type { PhaseRecord, StackRecord } from '../run/record.ts'
import type { ErrorFacts, Operation } from '../workload/operation.ts'
import { type Reason, reasonFor } from './classify.ts'
import { isError } from './phase-result.ts'

/** Equal errors of one fault. */
export interface ErrorGroup {
  /** The fault's name, and its title. */
  readonly fault: string
  readonly title: string
  readonly reason: Reason
  readonly count: number
  readonly kinds: Readonly<Record<string, number>>
  readonly error: Omit<ErrorFacts, 'step'>
}

const UNANSWERED: ErrorFacts = {
  name: 'unanswered',
  code: undefined,
  message: 'no outcome until its process was replaced',
  step: '',
  isOfRollback: false,
}

/** Every error that a stack showed, grouped by fault, reason and what the error says. */
export function errorGroups({ phases }: StackRecord): readonly ErrorGroup[] {
  return phases.flatMap(groupsOf)
}

function groupsOf(phase: PhaseRecord): readonly ErrorGroup[] {
  const groups = new Map<
    string,
    { count: number; kinds: Record<string, number>; group: Omit<ErrorGroup, 'count' | 'kinds'> }
  >()
  for (const operation of phase.operations.filter(isError)) {
    const { step: _, ...error } = withoutNumbers(operation.error ?? UNANSWERED)
    const group = { fault: phase.fault.name, title: phase.fault.title, reason: reasonFor(operation, phase), error }
    const key = JSON.stringify(group)
    const entry = groups.get(key) ?? { count: 0, kinds: {}, group }
    entry.count++
    const kind = kindOf(operation)
    entry.kinds[kind] = (entry.kinds[kind] ?? 0) + 1
    groups.set(key, entry)
  }
  return [...groups.values()].map(({ count, kinds, group }) => ({ ...group, count, kinds }))
}

function kindOf({ kind, error }: Operation): string {
  return kind === 'transfer' && error ? `${kind} at ${error.step}` : kind
}

const LONGEST_MESSAGE = 160

/** Waiting times, ports and process ids would make every error a group of its own; OpenSSL adds its source lines. */
function withoutNumbers(error: ErrorFacts): ErrorFacts {
  const message = error.message
    .replace(/\b[0-9A-F]+:error:[0-9A-F]+:/, '')
    .replace(/:[./\w-]+\.c:\d+:/, '')
    .replace(/\d{2,}/g, '…')
  return { ...error, message: message.trim().slice(0, LONGEST_MESSAGE) }
}
