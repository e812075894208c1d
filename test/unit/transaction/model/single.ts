import type { Pool } from '@holdfast/core'
import type { Network } from './network.ts'

/** What a single statement is. */
export type SingleKind =
  | 'write'
  | 'write with values'
  | 'write slowly'
  | 'write in a function'
  /** It reads like a plain read. */
  | 'write in a view'
  | 'read'
  | 'read with values'

/** One statement, outside of any transaction of the caller's. */
export interface SinglePlan {
  readonly kind: SingleKind
  /** Through the pool, as it is or in a transaction of its own, or on a client that it was acquired for: as its first statement, or its second. */
  readonly via: 'pool.query' | 'transactional' | 'first on a client' | 'second on a client'
}

/** What the caller of a statement was told. */
export type SingleTold = { readonly rows: number } | { readonly error: unknown }

const TEXTS: Record<SingleKind, (label: string) => { readonly text: string; readonly values?: string[] }> = {
  write: (label) => ({ text: `insert into ledger(label) values ('${label}')` }),
  'write with values': (label) => ({ text: 'insert into ledger(label) values ($1)', values: [label] }),
  'write slowly': (label) => ({ text: `insert into ledger(label) select '${label}' from slow()` }),
  'write in a function': (label) => ({ text: `select write('${label}') as single` }),
  'write in a view': (label) => ({ text: `select * from audited where label = '${label}'` }),
  read: () => ({ text: 'select 1 as single' }),
  'read with values': () => ({ text: 'select 1 as single', values: [] }),
}

/** Runs it. Never rejects. */
export async function runSingle(pool: Pool, { kind, via }: SinglePlan, label: string): Promise<SingleTold> {
  const { text, values } = TEXTS[kind](label)
  try {
    const { rowCount } = await runBy(via, pool, text, values)
    return { rows: rowCount ?? 0 }
  } catch (error) {
    return { error }
  }
}

async function runBy(via: SinglePlan['via'], pool: Pool, text: string, values: string[] | undefined) {
  if (via === 'pool.query') return await pool.query(text, values)
  if (via === 'transactional') return await pool.query(text, values, { transactional: true })
  return await onClient(pool, via, text, values)
}

async function onClient(pool: Pool, via: SinglePlan['via'], text: string, values: string[] | undefined) {
  const client = await pool.connect()
  try {
    if (via === 'second on a client') await client.query('select 1')
    return await client.query(text, values)
  } finally {
    client.release()
  }
}

/** What is wrong with what its caller was told; undefined if nothing. */
export function objectionToSingle(
  { kind }: SinglePlan,
  label: string,
  told: SingleTold,
  network: Network,
): string | undefined {
  const copies = network.server.rows.filter((row) => row.label === label).length
  if (copies > 1) return `is written ${copies} times`
  if (kind.startsWith('read')) return undefined
  if ('rows' in told) return copies === 1 ? undefined : 'is told to be written, and is not'
  if (copies === 1 && !isUnknown(told.error)) return `is written, and is told to have failed (${String(told.error)})`
  return undefined
}

function isUnknown(error: unknown): boolean {
  for (let each = error; typeof each === 'object' && each !== null; each = (each as Error).cause)
    if ('commitOutcome' in each) return each.commitOutcome === 'unknown'
  return false
}
