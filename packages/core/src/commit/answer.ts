/** One row of an answer to a question of the pool: texts by column. */
export type Row = Readonly<Record<string, unknown>>

/** The digits of 64 bits. A longer text is no number of PostgreSQL's, and takes long to compute with. */
const DIGITS = /^\d{1,20}$/
const INTEGER = /^-?\d{1,15}$/

/**
 * The rows of the driver's result for one statement. Undefined if there are two results or none: such an answer belongs to
 * another question.
 */
export function rowsIn(result: unknown): readonly Row[] | undefined {
  const rows = isRecord(result) ? result.rows : undefined
  return Array.isArray(rows) && rows.every(isRecord) ? rows : undefined
}

/** The digits of an unsigned number of 64 bits; undefined if the value isn't one. */
export function digitsIn(value: unknown): string | undefined {
  return typeof value === 'string' && DIGITS.test(value) ? value : undefined
}

/** A whole number that JavaScript can compute with; undefined if the value isn't one. */
export function numberIn(value: unknown): number | undefined {
  if (typeof value === 'string') return INTEGER.test(value) ? Number(value) : undefined
  return Number.isSafeInteger(value) ? (value as number) : undefined
}

/** One of these words; undefined if the value is none of them. */
export function wordIn<const Word extends string>(value: unknown, words: readonly Word[]): Word | undefined {
  return words.find((word) => word === value)
}

/** A boolean, in any way that PostgreSQL writes it; undefined if the value isn't one. */
export function truthIn(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  return wordIn(value, ['t', 'true', 'f', 'false'])?.startsWith('t')
}

function isRecord(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
