import type { LeasedClient, Pool, Transact } from '@holdfast/core'
import type { Tx } from './work.ts'

/** How whoever runs a transaction by hand, as an ORM does, treats what comes out of it. */
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

/** What can be believed of what it tells. */
export interface Candour {
  /** That it is written, if it resolves. */
  readonly ofSuccess: boolean
  /** That nothing is, if it rejects of what doesn't say otherwise. */
  readonly ofFailure: boolean
  /** That the server could not tell, if it says that nobody knows; not of what was lost with a statement of its own. */
  readonly ofDoubt: boolean
}

const CANDID: Candour = { ofSuccess: true, ofFailure: true, ofDoubt: true }

/** How candid they are. */
export const CANDOUR: Record<Manner, Candour> = {
  plainly: CANDID,
  'wraps errors': CANDID,
  'never rolls back': CANDID,
  'never releases': CANDID,
  'discards after each failure': CANDID,
  'tells of the failure of ROLLBACK': { ...CANDID, ofDoubt: false },
  'commits again if COMMIT fails': { ...CANDID, ofSuccess: false, ofDoubt: false },
  'swallows the failure of COMMIT': { ...CANDID, ofSuccess: false },
  'takes every failure for a conflict': { ...CANDID, ofFailure: false },
  'fails of a conflict after COMMIT': { ...CANDID, ofFailure: false },
  'fails of a conflict while COMMIT runs': { ...CANDID, ofFailure: false },
  'spreads its work over two transactions': { ...CANDID, ofFailure: false },
}

/** A subscriber's, or of another database. */
function conflict(cause?: unknown): Error {
  return Object.assign(new Error('could not serialize access elsewhere'), { code: '40001', ofOrm: cause })
}

/** Begins, commits and rolls back by hand, in such a manner. */
export function orm<Result>(pool: Pool, manner: Manner): Transact<Tx, Result> {
  if (manner === 'spreads its work over two transactions') return onTwo(pool)
  return async (work) => {
    const client = await pool.connect()
    let failure: Error | undefined
    try {
      await client.query('begin')
      const result = await work(txOf(client))
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

/** Sends its statements to one and the other, by turns. */
function onTwo<Result>(pool: Pool): Transact<Tx, Result> {
  return async (work) => {
    await using one = await pool.connect()
    await using other = await pool.connect()
    const clients = [one, other] as const
    for (const client of clients) await client.query('begin')
    try {
      let turn = 0
      const result = await work({
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
