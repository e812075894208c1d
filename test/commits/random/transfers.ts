import type { Cluster } from '../../support/index.ts'
import type { Random } from './random.ts'

const ACCOUNTS = 50
const BALANCE = 1000

/** Money that goes from one account to another, and a row that records it. */
export interface Transfer {
  /** No other transfer has it. The ledger has no key: what is written twice must be seen, not refused. */
  readonly id: string
  readonly from: number
  readonly to: number
  readonly amount: number
  readonly savepoint: boolean
}

/** Creates the accounts and the ledger again. */
export async function prepare(cluster: Cluster): Promise<void> {
  await cluster.query(`drop table if exists ledger, account;
    create table account (id int primary key, balance int not null);
    insert into account select id, ${BALANCE} from generate_series(1, ${ACCOUNTS}) id;
    create table ledger (id text not null, source int not null, target int not null, amount int not null);
    grant all on account, ledger to app`)
}

/** So many transfers. */
export function transfers(count: number, random: Random): Transfer[] {
  return Array.from({ length: count }, (_, index) => {
    const from = random.between(1, ACCOUNTS)
    const to = ((from + random.between(1, ACCOUNTS - 1) - 1) % ACCOUNTS) + 1
    return { id: `transfer-${index}`, from, to, amount: random.between(1, 50), savepoint: random.next() < 0.2 }
  })
}

/** What a transaction, of whichever pool, runs statements with. */
export interface Statements {
  query(text: string, values: unknown[]): Promise<unknown>
}

/** The accounts in the order of their numbers, so that no two transfers wait for each other. */
export async function move(tx: Statements, { from, to, amount }: Transfer): Promise<void> {
  const changes = [
    [from, -amount],
    [to, amount],
  ] as const
  for (const [account, change] of changes.toSorted(([a], [b]) => a - b))
    await tx.query('update account set balance = balance + $2 where id = $1', [account, change])
}

/** Tells of it. */
export async function enter(tx: Statements, { id, from, to, amount }: Transfer): Promise<void> {
  await tx.query('insert into ledger values ($1, $2, $3, $4)', [id, from, to, amount])
}

/** What the tables say in the end. */
export interface Books {
  /** How often each transfer is there. */
  readonly times: ReadonlyMap<string, number>
  /** What all accounts have together, less than at the start. */
  readonly missing: number
  /** Accounts whose balance isn't what the ledger makes it. */
  readonly unbalanced: readonly number[]
}

/** Reads them, in a session of its own. */
export async function readBooks(cluster: Cluster): Promise<Books> {
  const entries = await cluster.query<{ id: string; times: number }>(
    'select id, count(*)::int as times from ledger group by id',
  )
  const [sum] = await cluster.query<{ sum: number }>('select sum(balance)::int as sum from account')
  const unbalanced = await cluster.query<{ id: number }>(`select id from account where balance <> ${BALANCE}
    - (select coalesce(sum(amount), 0) from ledger where source = account.id)
    + (select coalesce(sum(amount), 0) from ledger where target = account.id)`)
  return {
    times: new Map(entries.map(({ id, times }) => [id, times])),
    missing: ACCOUNTS * BALANCE - (sum?.sum ?? 0),
    unbalanced: unbalanced.map(({ id }) => id),
  }
}
