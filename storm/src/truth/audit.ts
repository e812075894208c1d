import type { Ground } from '../ground/ground.ts'
import { SETTINGS } from '../settings.ts'
import type { Operation } from '../workload/operation.ts'

/** What the database says about what the application was told. */
export interface Audit {
  /** Acknowledged, and not there. */
  readonly lost: readonly string[]
  /** There more than once; each was written once. */
  readonly doubled: readonly string[]
  /** There, although nobody committed them: declined, abandoned, or failed before COMMIT was called. */
  readonly uncommitted: readonly string[]
  /** There, although the error had said that nothing of it can have been written. */
  readonly denied: readonly string[]
  /** Transactions that were reported as failed, by an error that says nothing of the outcome, and are there. */
  readonly misreported: readonly string[]
  /** Failed with an unknown outcome, and there: what an application must be prepared for. */
  readonly writtenInSpiteOfError: number
}

/** Holds everything that the application was told about its writes against what is in the database. */
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
  /** What the caller believes to be there. */
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

/** Whether no money was made or lost: in all, and account by account against the ledger. */
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
