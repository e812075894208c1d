import type { Ground } from '../ground/ground.ts'
import { SETTINGS } from '../settings.ts'
import type { Operation } from '../workload/operation.ts'

/** What the database shows about the answers that the application got. */
export interface Audit {
  /** Acknowledged, and missing. */
  readonly lost: readonly string[]
  /** Present more than once, though submitted once. */
  readonly doubled: readonly string[]
  /** Present, although they were never committed: declined, abandoned, or failed before COMMIT was called. */
  readonly uncommitted: readonly string[]
  /** Present, although the error said that nothing was written. */
  readonly denied: readonly string[]
  /** Transactions that are present, although an error that says nothing of the outcome reported them as failed. */
  readonly misreported: readonly string[]
  /** Failed with an unknown outcome, and present: an application must be prepared for this. */
  readonly writtenInSpiteOfError: number
}

/** Compares the answers that the application got about its writes with what is in the database. */
export async function audit(ground: Ground, operations: readonly Operation[], phase?: number): Promise<Audit> {
  const found = await countKeys(ground, phase)
  const keysOf = (accept: (operation: Operation, copies: number) => boolean): string[] =>
    operations
      .filter((operation) => operation.key !== '' && accept(operation, found.get(operation.key) ?? 0))
      .map(({ key }) => key)
  const mustBeAbsent = (operation: Operation): boolean =>
    operation.outcome === 'declined' ||
    operation.kind === 'dirty' ||
    (operation.kind === 'transfer' && operation.outcome === 'failed' && !operation.reachedCommit)
  const saidUnwritten = ({ error, kind }: Operation): boolean =>
    error?.commitOutcome === 'aborted' || (kind === 'write' && error?.sent === false)
  const wasReportedFailed = ({ kind, outcome, wasResubmitted, error }: Operation): boolean =>
    kind === 'transfer' && (wasResubmitted || (outcome === 'failed' && error?.commitOutcome !== 'unknown'))
  /** How many copies the caller expects. */
  const believed = ({ outcome }: Operation): number => (outcome === 'ok' ? 1 : 0)
  return {
    misreported: keysOf(
      (operation, copies) =>
        copies > believed(operation) &&
        wasReportedFailed(operation) &&
        !mustBeAbsent(operation) &&
        !saidUnwritten(operation),
    ),
    lost: keysOf(({ outcome }, copies) => outcome === 'ok' && copies === 0),
    doubled: [...found].filter(([, copies]) => copies > 1).map(([key]) => key),
    uncommitted: keysOf((operation, copies) => copies > 0 && mustBeAbsent(operation)),
    denied: keysOf((operation, copies) => copies > 0 && !mustBeAbsent(operation) && saidUnwritten(operation)),
    writtenInSpiteOfError: keysOf((operation, copies) => copies > 0 && operation.outcome === 'failed').length,
  }
}

async function countKeys(ground: Ground, phase: number | undefined): Promise<Map<string, number>> {
  const { schema } = ground
  const rows = await ground.query<{ key: string; copies: number }>(
    `select key, count(*)::int as copies
       from (select key, phase from ${schema}.entry union all select key, phase from ${schema}.ledger) written
      where $1::int is null or phase = $1 group by key`,
    [phase],
  )
  return new Map(rows.map(({ key, copies }) => [key, copies]))
}

/** Whether no money was created or lost: in total, and account by account against the ledger. */
export async function balancesAreRight(ground: Ground): Promise<boolean> {
  const { schema } = ground
  const [row] = await ground.query<{ wrong: number; sum: string }>(
    `with moved as (
       select account, sum(amount) as amount
         from (select debited as account, -amount as amount from ${schema}.ledger
               union all select credited, amount from ${schema}.ledger) moves
        group by account)
     select count(*) filter (where balance <> ${SETTINGS.openingBalance} + coalesce(amount, 0))::int as wrong,
            sum(balance)::text as sum
       from ${schema}.account left join moved on account = id`,
  )
  const accounts = SETTINGS.accountsPerMover * SETTINGS.movers
  return row?.wrong === 0 && Number(row.sum) === accounts * SETTINGS.openingBalance
}
