import { SETTINGS } from '../settings.ts'
import type { ErrorFacts } from '../workload/operation.ts'

/** A term of the report, and its meaning. */
export interface Term {
  readonly term: string
  readonly meaning: string
}

/** Whether an error of Holdfast was unavoidable, and why. */
export const REASONS: readonly Term[] = [
  {
    term: 'in flight',
    meaning: 'a write that may be written, on a connection that was open when it was killed or silenced',
  },
  {
    term: 'into the dark',
    meaning: 'the same on one that had died without a sign, before another dead one was noticed',
  },
  { term: 'avoidable', meaning: 'everything else' },
]

/** The properties of a ConnectionLostError. */
export const LOSS_TERMS: readonly Term[] = [
  { term: 'phase', meaning: 'what the connection was doing' },
  { term: 'sent', meaning: 'whether the server may have got this statement' },
  {
    term: 'told by ROLLBACK',
    meaning: "the ORM shows the error of its ROLLBACK instead of COMMIT's; the outcome is COMMIT's",
  },
  {
    term: 'outcome',
    meaning: "what became of the transaction ('aborted': nothing was written, 'unknown': may be written or not)",
  },
]

/** Notes on numbers that a stack with Holdfast can't make zero, or that look worse than they are. */
export const NOTES: readonly Term[] = [
  {
    term: 'errors with Holdfast',
    meaning:
      'single writes of which nobody but the server can say whether they were executed: they are reported as unknown and never repeated, ' +
      'unless `transactionalWrites` is on. Reads, and writes that certainly did nothing, run again, and so do transactions. Hangs, crashes, lost, doubled, stray, misreported and leaked must be 0',
  },
  {
    term: 'back after, with Holdfast',
    meaning:
      'sometimes later than stock when connects are refused: one attempt at a time connects, with backoff, and all callers wait for it ' +
      'without an error; with stock every caller connects and gets an error',
  },
  {
    term: 'crashes at a COMMIT',
    meaning:
      'a process that dies of a lost COMMIT has reported nothing: so nothing is misreported, and nothing is submitted again',
  },
  {
    term: 'query_timeout',
    meaning:
      `${SETTINGS.queryTimeoutMillis / 1000} s for pg.Pool as advised; the other stacks are configured as their documentation shows, ` +
      'without it, and Holdfast has its defaults',
  },
]

/** Terms as one line of text. */
export function asLine(terms: readonly Term[]): string {
  return terms.map(({ term, meaning }) => `${term}: ${meaning}`).join('; ')
}

/** The properties of a ConnectionLostError; an empty text for any other error. */
export function lossFacts({ phase, sent, commitOutcome, isOfRollback }: Omit<ErrorFacts, 'step'>): string {
  if (phase === undefined) return ''
  return `phase ${phase}, ${isOfRollback ? 'told by ROLLBACK' : `sent ${sent}`}, outcome ${commitOutcome}`
}

/** An error's name, as an application logs it: with the ORM's around it. */
export function fullName({ name, wrapper, code }: Omit<ErrorFacts, 'step'>): string {
  return `${wrapper === undefined ? '' : `${wrapper} ← `}${name}${code === undefined ? '' : ` ${code}`}`
}
