import type { Capability, Database, Row, Subject } from '../subject.ts'
import { once } from './open.ts'

/** A way in which an application runs a statement. */
export interface Way {
  readonly way: string
  /** Whether the statement is part of a transaction, so that it is certainly rolled back when its connection is lost. */
  readonly isTransaction: boolean
  run(database: Database, sql: string): Promise<readonly Row[]>
}

/** All ways of a subject. */
export function waysOf(subject: Subject): readonly Way[] {
  const ways: readonly (Way & { readonly needs?: Capability })[] = [
    { way: 'a plain statement', isTransaction: false, run: (database, sql) => database.run(sql) },
    {
      way: 'a transaction',
      isTransaction: true,
      run: (database, sql) => database.transaction((tx) => tx.run(sql), once(subject)),
    },
    {
      way: 'a nested transaction',
      isTransaction: true,
      run: (database, sql) => database.transaction((tx) => tx.savepoint((inner) => inner.run(sql)), once(subject)),
    },
    { way: 'a controlled transaction', isTransaction: true, needs: 'begin', run: runControlled },
    { way: 'a stream', isTransaction: false, needs: 'stream', run: runStream },
  ]
  return ways.filter(({ needs }) => needs === undefined || subject.can.includes(needs))
}

/** As the ORM's documentation shows it: rolls back when a statement fails. */
async function runControlled(database: Database, sql: string): Promise<readonly Row[]> {
  const tx = await beginIn(database)
  let rows: readonly Row[]
  try {
    rows = await tx.run(sql)
  } catch (error) {
    await tx.rollback()
    throw error
  }
  await tx.commit()
  return rows
}

async function runStream(database: Database, sql: string): Promise<readonly Row[]> {
  const rows: Row[] = []
  for await (const row of streamOf(database, sql)) rows.push(row)
  return rows
}

/** The optional members of a subject that has them. */
export function beginIn(database: Database): ReturnType<NonNullable<Database['begin']>> {
  return (database.begin as NonNullable<Database['begin']>)()
}

export function streamOf(database: Database, sql: string): AsyncIterable<Row> {
  return (database.stream as NonNullable<Database['stream']>)(sql)
}

export function preparedIn(database: Database, id: string): Promise<readonly Row[]> {
  return (database.prepared as NonNullable<Database['prepared']>)(id)
}
