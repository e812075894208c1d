import { SETTINGS } from '../settings.ts'
import type { ErrorFacts } from '../workload/operation.ts'

/** A word of the report, and what it means there. */
export interface Term {
  readonly term: string
  readonly meaning: string
}

/** Why an error of Holdfast had to be, or not. */
export const REASONS: readonly Term[] = [
  { term: 'in flight', meaning: 'on a connection that was open when it was killed or silenced' },
  { term: 'into the dark', meaning: 'on one that had died without a sign, before any other had been found out' },
  { term: 'avoidable', meaning: 'all else' },
]

/** The properties of a ConnectionLostError. */
export const LOSS_TERMS: readonly Term[] = [
  { term: 'phase', meaning: 'what the connection was doing' },
  { term: 'sent', meaning: 'whether the server may have got this statement' },
  {
    term: 'told by ROLLBACK',
    meaning: "the ORM shows the error of its ROLLBACK instead of COMMIT's; the outcome is COMMIT's",
  },
  { term: 'outcome', meaning: "what became of the work ('aborted': surely nothing written, 'unknown': can't be told)" },
]

/** What a stack with Holdfast can't make zero, and what may look worse than it is. */
export const NOTES: readonly Term[] = [
  {
    term: 'errors with Holdfast',
    meaning:
      'what was in flight on a connection when it was killed may have been carried out, so a single statement is reported, ' +
      'never repeated; so is a COMMIT of which not even the server can tell. Other transactions are run again. From hangs to misreported, and leaked, every column is to be 0',
  },
  {
    term: 'back after, with Holdfast',
    meaning:
      'sometimes later than stock when connects are refused: one probe knocks, with backoff, and everybody waits for it ' +
      'without an error; otherwise every caller knocks and gets one',
  },
  {
    term: 'crashes',
    meaning:
      'a process that dies of a lost COMMIT has told nobody anything: nothing is misreported then, nor submitted again',
  },
  {
    term: 'ok, with Holdfast',
    meaning:
      'sometimes fewer than stock where single connections are killed again and again: each time the others are taken for dead, ' +
      'too, and opened anew (invalidateOnDisconnect)',
  },
  {
    term: 'query_timeout',
    meaning:
      `${SETTINGS.queryTimeoutMillis / 1000} s with Holdfast and for pg.Pool as advised; the other stacks are set up as their ` +
      'documentation shows, without',
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
