import type { Trace } from '../workload/journal.ts'
import type { TransferOrder } from '../workload/transfer-order.ts'

/** Where to log in: what every stack is given, and nothing more. Plain data, since it crosses a process boundary. */
export interface ConnectionSettings {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly ssl?: boolean | Readonly<Record<string, unknown>>
  readonly application_name: string
}

/** What a stack builds its service from. */
export interface StackSetup {
  readonly connection: ConnectionSettings
  /** The schema with the tables `account`, `ledger` and `entry`. */
  readonly schema: string
  readonly max: number
  readonly queryTimeoutMillis: number
}

/** A row to write, once. */
export interface Entry {
  readonly key: string
  readonly phase: number
}

/**
 * A small service on top of some way to use Postgres, written as its documentation shows. No method retries by itself,
 * and none swallows an error.
 */
export interface Service {
  /** One quick statement. */
  read(account: number): Promise<void>
  /** One statement that takes a while. */
  slowRead(): Promise<void>
  /** One INSERT, committed by itself. */
  write(entry: Entry): Promise<void>
  /**
   * One transaction over both accounts and the ledger. Records in the trace `connect`, each attempt, each statement, `commit`.
   *
   * @throws {Declined} after ROLLBACK, when the account does not hold that much.
   */
  transfer(order: TransferOrder, trace: Trace): Promise<void>
  /** A common bug: INSERT inside a transaction, and a release without COMMIT. */
  leaveDirty(entry: Entry): Promise<void>
  /** Leases `count` connections at once, queries each, releases them, and returns how many answered in time. */
  occupy(count: number, withinMillis: number): Promise<number>
  close(): Promise<void>
}

/** What the module of a stack exports. */
export interface StackModule {
  open(setup: StackSetup): Service | Promise<Service>
}

/** What the service is written with. */
export type Family = 'pg' | 'drizzle' | 'kysely' | 'typeorm'

/** A stack as the storm knows it. */
export interface Stack {
  /** On the command line. */
  readonly name: string
  /** Its fellows do the same with the same, so that they can be compared. */
  readonly family: Family
  /** In tables. */
  readonly title: string
  /** What it is, in half a sentence. */
  readonly about: string
  /** Whether it stands on Holdfast: then the storm fails when it loses, doubles, leaks, crashes or hangs. */
  readonly isJudged: boolean
  /** Loaded in the service's own process only. */
  load(): Promise<StackModule>
}
