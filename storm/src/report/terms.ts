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

/** What a ConnectionLostError tells of itself. */
export const LOSS_FACTS: readonly Term[] = [
  { term: 'phase', meaning: 'what the connection was doing' },
  { term: 'sent', meaning: 'whether the server may have got this statement' },
  { term: 'outcome', meaning: "what became of the work ('aborted': surely nothing written, 'unknown': can't be told)" },
]

/** Terms as one line of text. */
export function asLine(terms: readonly Term[]): string {
  return terms.map(({ term, meaning }) => `${term}: ${meaning}`).join('; ')
}
