/** One row of what the pool asked for: texts by column. */
export type Row = Readonly<Record<string, unknown>>

/** As many digits as 64 bits take. More are no number of PostgreSQL's, and would take long to compute with. */
const DIGITS = /^\d{1,20}$/
const INTEGER = /^-?\d{1,15}$/

/**
 * The rows of what the driver tells of one statement. Undefined if it tells of two results, or of none: then the answer is
 * another question's.
 */
export function rowsIn(result: unknown): readonly Row[] | undefined {
  const rows = isRecord(result) ? result.rows : undefined
  return Array.isArray(rows) && rows.every(isRecord) ? rows : undefined
}

/** A whole number of 64 bits without a sign, as its digits; undefined if the value is none. */
export function digitsIn(value: unknown): string | undefined {
  return typeof value === 'string' && DIGITS.test(value) ? value : undefined
}

/** A whole number that JavaScript can compute with; undefined if the value is none. */
export function numberIn(value: unknown): number | undefined {
  if (typeof value === 'string') return INTEGER.test(value) ? Number(value) : undefined
  return Number.isSafeInteger(value) ? (value as number) : undefined
}

/** One of these words; undefined if the value is none of them. */
export function wordIn<const Word extends string>(value: unknown, words: readonly Word[]): Word | undefined {
  return words.find((word) => word === value)
}

/** Yes or no, in any of PostgreSQL's ways to write them; undefined if the value is neither. */
export function truthIn(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  return wordIn(value, ['t', 'true', 'f', 'false'])?.startsWith('t')
}

function isRecord(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
