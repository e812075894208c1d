import type { Pool } from '@holdfast/core'
import { saysWhyNot } from './single.ts'

/** One text for all, so that it becomes known, and those that wait for a connection are sent behind others. */
const TEXT = 'select $1::text as shared'

/** What the caller of a shared read was told. */
export type SharedReadTold = { readonly got: unknown } | { readonly error: unknown }

/** Reads a value of its own. Never rejects. */
export async function runSharedRead(pool: Pool, value: string): Promise<SharedReadTold> {
  try {
    const { rows } = await pool.query<{ shared: unknown }>(TEXT, [value])
    return { got: rows.length === 1 ? rows[0]?.shared : rows }
  } catch (error) {
    return { error }
  }
}

/** What is wrong with what its caller was told; undefined if nothing. A read that is lost runs again. */
export function objectionToSharedRead(value: string, told: SharedReadTold): string | undefined {
  if ('got' in told) return told.got === value ? undefined : `is told ${JSON.stringify(told.got)}`
  if (!(told.error instanceof Error) || !('commitOutcome' in told.error) || saysWhyNot(told.error)) return undefined
  return `is told to have failed (${String(told.error)}), and does not run again`
}
