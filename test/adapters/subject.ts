import type { IsolationLevel, PoolOptions, RetryOptions, TransactionWork } from '@holdfast/core'
import type pg from 'pg'

/** The optional members of {@link Database}. */
export type Capability = 'prepared' | 'stream' | 'begin' | 'runUntil'

/**
 * What only the ORM itself could mend.
 * - `hides losses`: it gives up a client that emits `error`, and from then on says only that it did. So TypeORM.
 * - `lets zombies in`: what its callback does after the end of the transaction goes to the same client, whoever has it
 *   by then. An adapter's transactions are known to the pool, and refused.
 * - `keeps waiters`: it doesn't pass a signal on to the pool; whoever gave up in line is served, and for nothing. Kysely.
 * - `hides callers`: by the time it acquires, no stack leads back to the application any more. Kysely.
 */
export type Limit = 'hides losses' | 'lets zombies in' | 'keeps waiters' | 'hides callers'

/** A row, as the ORM hands it out. */
export type Row = Record<string, unknown>

/**
 * An ORM behind the one face that the contract knows. A new adapter needs a file in `subjects/` that exports one of these
 * as `subject`, and a test that hands it to `describeContract`.
 *
 * Everything here is done by the ORM's public API, as its documentation shows it, and sets no listener anywhere. That
 * file is also loaded by Node alone, in a process of its own: no decorators, no enums, imports with `.ts`.
 */
export interface Subject {
  /** As it is called in the names of tests. */
  readonly name: string
  /** `import.meta.url` of the file that exports it as `subject`: a program in another process opens it by that. */
  readonly module: string
  /** The optional members that its databases have; what isn't named here isn't tested. */
  readonly can: readonly Capability[]
  /** Whether {@link Database.transaction} heeds `retry` and `signal`. A stock ORM can't, and is spared those rules. */
  readonly retries: boolean
  /** What it can't but do wrong, on any pool: those rows ask for no more than that it harms nobody. */
  readonly limits?: readonly Limit[]
  /** Sets the ORM up on a new Holdfast pool with these options. Connects no earlier than the ORM itself does. */
  open(options: PoolOptions): Promise<Database>
}

/** What runs statements: the database itself, or a transaction. Each fails with whatever the ORM fails with. */
export interface Statements {
  /** Any SQL without parameters, by the ORM's way for raw SQL; resolves with its rows. */
  run(sql: string): Promise<readonly Row[]>
  /** `insert into entry values (id)`, by the ORM's own builder or repository, in one statement. */
  insert(id: string): Promise<void>
}

/** An ORM that is set up. The server has a table `entry (id text primary key)`, which the ORM knows. */
export interface Database extends Statements, AsyncDisposable {
  /** The pool underneath: asked for counts, never used for statements. With several, the primary's. */
  readonly pool: pg.Pool
  /** Every `entry.id`, by the ORM's own builder or repository, outside of a transaction. */
  ids(): Promise<string[]>
  /** A transaction in the ORM's own idiom, with a callback. */
  transaction<Result>(fn: TransactionWork<Tx, Result>, options?: TransactionOptions): Promise<Result>
  /** A prepared (named) statement that selects the entry with this id; the same name each time. */
  prepared?(id: string): Promise<readonly Row[]>
  /** The rows of this SQL one after the other, by cursor, one or two at a time. Leaving the loop early closes it. */
  stream?(sql: string): AsyncIterable<Row>
  /** A transaction that the caller begins and ends himself: Kysely's `startTransaction()`, TypeORM's query runner. */
  begin?(): Promise<ControlledTransaction>
  /** {@link Statements.run}, given up as soon as the signal is aborted: at the server as well. */
  runUntil?(sql: string, signal: AbortSignal): Promise<readonly Row[]>
  /** As the ORM's documentation says, and the pool as well, if that doesn't end it. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Options of {@link Database.transaction}; the contract gives `retry` and `signal` to subjects that retry, only. */
export interface TransactionOptions {
  /** For TypeORM in capitals. */
  readonly isolationLevel?: IsolationLevel
  /** Always given, to subjects that retry, when it matters: their defaults differ. */
  readonly retry?: boolean | RetryOptions
  readonly signal?: AbortSignal
}

/** What the callback of a transaction is given. A stock ORM says that each is its attempt 1. */
export interface Tx extends Statements {
  /** A nested transaction, by savepoint: undone, and only that, when `fn` rejects. */
  savepoint<Result>(fn: (tx: Tx) => Promise<Result>): Promise<Result>
}

/** See {@link Database.begin}. */
export interface ControlledTransaction extends Statements {
  /** Ends it, and gives back what the ORM says its user must give back (`finally { runner.release() }`). */
  commit(): Promise<void>
  /** As {@link commit}. */
  rollback(): Promise<void>
}
