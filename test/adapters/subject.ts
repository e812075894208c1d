import type { IsolationLevel, PoolOptions, RetryOptions, TransactionWork } from '@holdfast/core'
import type pg from 'pg'

/** The optional members of {@link Database}. */
export type Capability = 'prepared' | 'stream' | 'begin' | 'runUntil'

/**
 * A flaw that only the ORM itself could mend.
 * - `hides losses`: it releases a client that emits `error`, and after that only says that it did. TypeORM.
 * - `keeps callbacks`: a callback that still runs after its transaction uses the same client, though another caller has
 *   it. With an adapter the pool knows of the transaction, and refuses that.
 * - `keeps waiters`: it doesn't pass a signal on to the pool, so the waiter stays in the queue. Kysely.
 * - `hides callers`: when it acquires, the stack no longer leads to the application. Kysely.
 */
export type Limit = 'hides losses' | 'keeps callbacks' | 'keeps waiters' | 'hides callers'

/** A row, as the ORM returns it. */
export type Row = Record<string, unknown>

/**
 * An ORM behind the interface that the contract uses. A new adapter needs a file in `subjects/` that exports a `Subject` as
 * `subject`, and a test that calls `describeContract` with it.
 *
 * Everything here uses the ORM's public API, as its documentation shows it, and sets no listener. Node alone loads that
 * file as well, in a process of its own: no decorators, no enums, imports with `.ts`.
 */
export interface Subject {
  /** Its name in the names of tests. */
  readonly name: string
  /** `import.meta.url` of the file that exports it as `subject`. A program in another process imports that. */
  readonly module: string
  /** The optional members that its databases have. Other members aren't tested. */
  readonly can: readonly Capability[]
  /** Whether {@link Database.transaction} takes `retry` and `signal`. Stock ORMs don't, so their tests are left out. */
  readonly retries: boolean
  /** What it does wrong on any pool. The tests of those rows only ask that other callers aren't affected. */
  readonly limits?: readonly Limit[]
  /** Sets the ORM up on a new Holdfast pool with these options. Connects no earlier than the ORM itself does. */
  open(options: PoolOptions): Promise<Database>
}

/** What runs statements: the database itself, or a transaction. Each method rejects with the ORM's error. */
export interface Statements {
  /** Runs any SQL without parameters, by the ORM's API for raw SQL. Resolves with its rows. */
  run(sql: string): Promise<readonly Row[]>
  /** `insert into entry values (id)`, by the ORM's own builder or repository, in one statement. */
  insert(id: string): Promise<void>
}

/** An open ORM. The server has a table `entry (id text primary key)`, which the ORM knows. */
export interface Database extends Statements, AsyncDisposable {
  /** The pool below the ORM, for its counts only. With several pools, that of the primary. */
  readonly pool: pg.Pool
  /** Every `entry.id`, by the ORM's own builder or repository, outside of a transaction. */
  ids(): Promise<string[]>
  /** A transaction in the ORM's own idiom, with a callback. */
  transaction<Result>(fn: TransactionWork<Tx, Result>, options?: TransactionOptions): Promise<Result>
  /** A prepared (named) statement that selects the entry with this id; the same name each time. */
  prepared?(id: string): Promise<readonly Row[]>
  /** The rows of this SQL one after the other, by cursor, one or two at a time. Leaving the loop early closes it. */
  stream?(sql: string): AsyncIterable<Row>
  /** A transaction that the caller begins and ends: Kysely's `startTransaction()`, TypeORM's query runner. */
  begin?(): Promise<ControlledTransaction>
  /** {@link Statements.run}, cancelled when the signal is aborted, at the server as well. */
  runUntil?(sql: string, signal: AbortSignal): Promise<readonly Row[]>
  /** Closes the ORM as its documentation says, and the pool as well, if that doesn't end it. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Options of {@link Database.transaction}. The contract gives `retry` and `signal` only to subjects that retry. */
export interface TransactionOptions {
  /** TypeORM takes it in capitals. */
  readonly isolationLevel?: IsolationLevel
  /** Given to subjects that retry whenever it matters, since their defaults differ. */
  readonly retry?: boolean | RetryOptions
  readonly signal?: AbortSignal
}

/** What the callback of a transaction is given. */
export interface Tx extends Statements {
  /** A nested transaction, by savepoint. It alone is rolled back when `fn` rejects. */
  savepoint<Result>(fn: (tx: Tx) => Promise<Result>): Promise<Result>
}

/** See {@link Database.begin}. */
export interface ControlledTransaction extends Statements {
  /** Commits, and releases what the ORM's documentation says (`finally { runner.release() }`). */
  commit(): Promise<void>
  /** As {@link commit}. */
  rollback(): Promise<void>
}
