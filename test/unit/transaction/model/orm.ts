import type { LeasedClient, Pool, Transact } from '@holdfast/core'
import type { Tx } from './steps.ts'

/** How code that runs a transaction by hand, as an ORM does, treats results and errors. */
export type Manner =
  | 'plainly'
  | 'wraps errors'
  | 'never rolls back'
  | 'never releases'
  | 'discards after each failure'
  | 'tells of the failure of ROLLBACK'
  | 'commits again if COMMIT fails'
  | 'swallows the failure of COMMIT'
  | 'takes every failure for a conflict'
  | 'fails of a conflict after COMMIT'
  | 'fails of a conflict while COMMIT runs'
  | 'spreads its work over two transactions'

/** Which of its results can be believed. */
export interface Credibility {
  /** Whether everything is written when it resolves. */
  readonly ofSuccess: boolean
  /** Whether nothing is written when it rejects with an error that doesn't say otherwise. */
  readonly ofFailure: boolean
  /** Whether the server couldn't tell when it says that the outcome is unknown. Not if a statement of its own was lost. */
  readonly ofUnknown: boolean
}

const CREDIBLE: Credibility = { ofSuccess: true, ofFailure: true, ofUnknown: true }

/** What can be believed of each. */
export const CREDIBILITY: Record<Manner, Credibility> = {
  plainly: CREDIBLE,
  'wraps errors': CREDIBLE,
  'never rolls back': CREDIBLE,
  'never releases': CREDIBLE,
  'discards after each failure': CREDIBLE,
  'tells of the failure of ROLLBACK': { ...CREDIBLE, ofUnknown: false },
  'commits again if COMMIT fails': { ...CREDIBLE, ofSuccess: false, ofUnknown: false },
  'swallows the failure of COMMIT': { ...CREDIBLE, ofSuccess: false },
  'takes every failure for a conflict': { ...CREDIBLE, ofFailure: false },
  'fails of a conflict after COMMIT': { ...CREDIBLE, ofFailure: false },
  'fails of a conflict while COMMIT runs': { ...CREDIBLE, ofFailure: false },
  'spreads its work over two transactions': { ...CREDIBLE, ofFailure: false },
}

/** A conflict of a subscriber, or in another database. */
function conflict(cause?: unknown): Error {
  return Object.assign(new Error('could not serialize access elsewhere'), { code: '40001', ofOrm: cause })
}

/** Begins, commits and rolls back by hand, in this manner. */
export function orm<Result>(pool: Pool, manner: Manner): Transact<Tx, Result> {
  if (manner === 'spreads its work over two transactions') return onTwo(pool)
  return async (fn) => {
    const client = await pool.connect()
    let failure: Error | undefined
    try {
      await client.query('begin')
      const result = await fn(txOf(client))
      await commit(client, manner)
      return result
    } catch (error) {
      failure = error as Error
      const ofRollback = await rollBack(client, manner)
      if (manner === 'tells of the failure of ROLLBACK' && ofRollback) throw ofRollback
      if (manner === 'wraps errors') throw new Error('Failed query', { cause: error })
      if (manner === 'takes every failure for a conflict') throw conflict(error)
      throw error
    } finally {
      if (manner === 'discards after each failure') client.release(failure)
      else if (manner !== 'never releases') client.release()
    }
  }
}

/** Sends its statements to two connections in turn. */
function onTwo<Result>(pool: Pool): Transact<Tx, Result> {
  return async (fn) => {
    await using one = await pool.connect()
    await using other = await pool.connect()
    const clients = [one, other] as const
    for (const client of clients) await client.query('begin')
    try {
      let turn = 0
      const result = await fn({
        ...txOf(one),
        query: (text, values) => clients[turn++ % 2 ? 1 : 0].query(text, values),
      })
      for (const client of clients) await client.query('commit')
      return result
    } catch (error) {
      for (const client of clients) await client.query('rollback').catch(() => {})
      throw error
    }
  }
}

async function commit(client: LeasedClient, manner: Manner): Promise<void> {
  if (manner === 'fails of a conflict while COMMIT runs') {
    void client.query('commit').catch(() => {})
    throw conflict()
  }
  try {
    await client.query('commit')
  } catch (error) {
    if (manner === 'commits again if COMMIT fails') await client.query('commit')
    else if (manner !== 'swallows the failure of COMMIT') throw error
  }
  if (manner === 'fails of a conflict after COMMIT') throw conflict()
}

async function rollBack(client: LeasedClient, manner: Manner): Promise<Error | undefined> {
  if (manner === 'never rolls back' || manner === 'fails of a conflict while COMMIT runs') return undefined
  return await client.query('rollback').then(
    () => undefined,
    (error: Error) => error,
  )
}

function txOf(client: LeasedClient, depth = 0): Tx {
  return {
    query: (text, values) => client.query(text, values),
    savepoint: async (fn) => {
      const name = `s${depth}`
      await client.query(`savepoint ${name}`)
      try {
        const result = await fn(txOf(client, depth + 1))
        await client.query(`release savepoint ${name}`)
        return result
      } catch (error) {
        await client.query(`rollback to savepoint ${name}`)
        throw error
      }
    },
  }
}
