import type { QueryConfig, QueryResult } from 'pg'
import { rowsIn, truthIn } from '../commit/server-report.ts'
import { encloseOn } from '../connection/leased-client-factory.ts'
import type { LeasedClient } from '../connection/physical-client.ts'
import { isSubmittable, kindToSend, textOf } from '../connection/query-arguments.ts'
import { copyWith } from '../driver/copy-config.ts'
import { addReason, ConnectionLostError } from '../errors.ts'
import { isConnectionLost } from '../policy/classify-error.ts'
import { functionsToAsk, isEnclosable } from '../policy/enclosing.ts'
import { mayReadAgain } from '../policy/retry.ts'
import { markTooSlow, wasTooSlow } from '../policy/slowness.ts'
import { type CalledFunction, KnownTexts, readSql } from '../sql/statement.ts'
import { codeOf, messageOf, propertyOf } from '../thrown.ts'

/** A statement, as it was given to `query`. */
export interface Call {
  readonly query: unknown
  readonly values: unknown[] | undefined
}

/** Called with what its caller is told. */
export type Told = (error: Error | null, result: QueryResult) => void

/** What a read is told that runs elsewhere because others are in front of it, if that run can't tell anything. */
export const STALLED: Error = new Error('The statement in front takes too long')

/** What else a volatile function can't be, if its name begins so: it is the server's own, and its name says that it acts. */
const ACTS = /^(?:pg_|lo_|nextval$|setval$)/

/**
 * The effect of functions with these names: one row for each. An aggregate counts as immutable, whatever its parts do, so it
 * isn't believed.
 */
const FUNCTIONS = `select n.nspname::text as schema, p.proname::text as name,
  pg_catalog.bool_and(p.prokind = 'f' and p.provolatile <> 'v')::text as "isRead"
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where p.proname = any ($1::pg_catalog.text[]::pg_catalog.name[]) group by 1, 2`

/** Answers to the pool are texts, whatever type parsers the application has set. */
const TEXTS = { getTypeParser: () => String } as unknown as QueryConfig['types']

/** read_only_sql_transaction, undefined_table (a temporary one of the lost session), invalid_schema_name (its schema). */
const NOT_THE_SAME: ReadonlySet<unknown> = new Set(['25006', '42P01', '3F000'])

/** Whether the server refused it for what it lacks, be it BEGIN or the statement: that tells nothing of the run before. */
function isOutOfResources(error: Error): boolean {
  return codeOf(error)?.startsWith('53') === true
}

/**
 * The plain reads of a pool that are run again after a loss although they may have run. They run in a transaction that only
 * reads, so the server itself refuses whatever writes. It doesn't refuse what isn't a write to it (pg_notify, advisory locks,
 * dblink), so each function of the text must be one that only reads, by its declaration in this very database.
 */
export class ReadsAgain {
  readonly #isOn: boolean
  /** Whether functions of these names only read, as far as it was asked. */
  readonly #functions = new KnownTexts<boolean>()

  constructor(isOn: boolean) {
    this.#isOn = isOn
  }

  /** Whether a statement that ended with this error may be such a read. */
  mayRun({ query, values }: Call, error: Error): boolean {
    if (!this.#isOn || !mayReadAgain(error)) return false
    if (isSubmittable(query) || propertyOf(query, 'retryRead') === false) return false
    const text = textOf(query)
    if (!isEnclosable(text, kindToSend(query as string, values))) return false
    return functionsToAsk(readSql(text as string))?.every(({ name }) => !ACTS.test(name)) === true
  }

  /**
   * Runs it again on this client. If it turns out to be no read, or to read what only the lost session had, `told` gets
   * `loss`, that of the run before; and the new loss if this client is lost, too. `onRun` is called when the statement is about
   * to be sent.
   */
  run(client: LeasedClient, call: Call, loss: Error, onRun: () => void, told: Told): void {
    const refuse = (): void => told(loss, undefined as never)
    this.#ask(client, functionsToAsk(readSql(textOf(call.query) as string)) ?? [], (isRead, lost) => {
      if (lost) return told(lost, undefined as never)
      if (!isRead) return refuse()
      const answered = (error: Error | null, result?: QueryResult): void => {
        if (!error || isConnectionLost(error)) return told(error, result as QueryResult)
        if (isOutOfResources(error)) addReason(loss, messageOf(error))
        else if (!NOT_THE_SAME.has(codeOf(error))) return told(error, result as QueryResult)
        refuse()
      }
      onRun()
      if (!encloseOn(client, configOf(call), 'read-only', answered)) refuse()
    })
  }

  /** Finds out whether these functions only read. Each name is asked for once. `lost`: the client was lost meanwhile. */
  #ask(
    client: LeasedClient,
    functions: readonly CalledFunction[],
    told: (isRead: boolean, lost?: ConnectionLostError) => void,
  ): void {
    const unknown = functions.filter((each) => this.#functions.of(keyOf(each)) === undefined)
    const judge = (): void => told(functions.every((each) => this.#functions.of(keyOf(each)) === true))
    if (unknown.length === 0) return judge()
    const names = [...new Set(unknown.map(({ name }) => name))]
    const config = { text: FUNCTIONS, values: [names], types: TEXTS }
    client.query(config as QueryConfig, (error, result) => {
      if (error && isConnectionLost(error)) return told(false, error)
      const rows = error ? undefined : rowsIn(result)
      if (!rows) return told(false)
      for (const each of unknown) {
        const named = rows.filter(({ schema, name }) => name === each.name && (each.schema ?? schema) === schema)
        this.#functions.learn(keyOf(each), named.length > 0 && named.every(({ isRead }) => truthIn(isRead) === true))
      }
      judge()
    })
  }
}

/**
 * What another loss is told as: with what is known of the first run, which wasn't in a transaction that only reads. What
 * looks like a read may have written then.
 */
export function secondLoss({ cause }: Error, loss: Error): Error {
  if (!isConnectionLost(loss)) return loss
  const { phase, commitOutcome, statementOutcome } = loss
  const second = new ConnectionLostError({ cause, phase, commitOutcome, statementOutcome }, true)
  // Its own cause is hidden by the loss before.
  if (wasTooSlow(cause)) markTooSlow(second)
  return Object.assign(second, { cause: loss })
}

function keyOf({ schema, name }: CalledFunction): string {
  return JSON.stringify([schema, name])
}

function configOf({ query, values }: Call): QueryConfig {
  if (typeof query === 'string') return { text: query, ...(values && { values }) }
  return copyWith(query as QueryConfig, { callback: undefined, ...(values && { values }) })
}
