import type { Pool } from '@holdfast/core'
import type { Judge } from './judge.ts'
import type { Network } from './network.ts'

/** What a single statement is. */
export type SingleKind =
  | 'write'
  | 'write with values'
  | 'write slowly'
  | 'write in a function'
  /** It reads like a plain read. */
  | 'write in a view'
  /** A transaction that only reads doesn't refuse it. */
  | 'announce'
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
  announce: (label) => ({ text: `select announce('${label}') as single` }),
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

/** What is true of the statement, beside what its caller was told. */
interface Truth {
  readonly transactionalWrites: boolean
  readonly network: Network
  readonly judge: Judge
}

/** What is wrong with what its caller was told; undefined if nothing. */
export function objectionToSingle(
  single: SinglePlan,
  label: string,
  told: SingleTold,
  { transactionalWrites, network, judge }: Truth,
): string | undefined {
  const { kind, via } = single
  const copies = network.server.rows.filter((row) => row.label === label).length
  if (copies > 1) return `is written ${copies} times`
  const isRead = kind.startsWith('read')
  if ('rows' in told) return isRead || copies === 1 ? undefined : 'is told to be written, and is not'
  const loss = lossIn(told.error)
  const what = `is told to have failed (${String(told.error)})`
  if (copies === 1 && loss?.commitOutcome !== 'unknown') return `is written, and ${what}`
  // On a client, what was lost may be the statement before.
  if (!loss || via === 'second on a client') return undefined
  // The view reads like a plain read.
  const isEnclosed = via === 'transactional' || (transactionalWrites && !isRead && kind !== 'write in a view')
  if (isEnclosed) {
    const objection = loss.commitOutcome === 'unknown' ? judge.objectionToUnknown(loss.reason) : undefined
    return objection && `${what}, and its outcome is told to be unknown: ${objection}`
  }
  const mayRunAgain = isRead || DID_NOTHING.has(loss.statementOutcome)
  return mayRunAgain && !saysWhyNot(told.error) ? `${what}, and does not run again` : undefined
}

const DID_NOTHING: ReadonlySet<unknown> = new Set(['never-ran', 'rolled-back'])

interface LossFacts {
  readonly commitOutcome: unknown
  readonly statementOutcome?: unknown
  readonly reason?: unknown
}

function lossIn(error: unknown): LossFacts | undefined {
  for (let each = error; typeof each === 'object' && each !== null; each = (each as Error).cause)
    if ('commitOutcome' in each) return each as unknown as LossFacts
  return undefined
}

/** Whether the error says why there was no other run. A read that took too long only says that. */
export function saysWhyNot(error: unknown): boolean {
  return /not run again: |timeout/.test(String(error))
}
