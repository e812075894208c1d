/** One step of a transaction's function. */
export type Step =
  | 'write'
  | 'write with values'
  | 'write in a function'
  | 'write twice in one text'
  | 'write late'
  | 'write, not awaited'
  | 'write when it may be over'
  | 'read'
  | 'take long'
  | 'fail'
  | 'fail, swallowed'
  | 'fail in a savepoint'
  | 'write in a savepoint'
  | 'write in a savepoint, undone'
  | 'conflict once'
  | 'conflict once, in COMMIT'

/** What the function of a transaction is called with. */
export interface Tx {
  query(text: string, values?: unknown[]): Promise<unknown>
  savepoint<Result>(fn: (inner: Tx) => Promise<Result>): Promise<Result>
}

/** What the function has done in one attempt. */
export interface AttemptRecord {
  readonly number: number
  /** The rows that are written if the attempt commits. */
  readonly labels: string[]
  /** Rows that may be written, too. */
  readonly possible: string[]
  /** Runs a task when the attempt may have ended. */
  readonly later: (task: () => void) => void
}

/** Performs these steps, and records what they have written. `key` names the transaction. */
export async function perform(tx: Tx, steps: readonly Step[], key: string, record: AttemptRecord): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const label = `${key}.${record.number}.${index}`
    await STEPS[step](tx, label, record, key)
  }
}

const STEPS: Record<Step, (tx: Tx, label: string, record: AttemptRecord, key: string) => Promise<void>> = {
  write: async (tx, label, { labels }) => {
    await tx.query(`insert into ledger values ('${label}')`)
    labels.push(label)
  },
  'write with values': async (tx, label, { labels }) => {
    await tx.query('insert into ledger values ($1)', [label])
    labels.push(label)
  },
  'write in a function': async (tx, label, { labels }) => {
    await tx.query(`select write('${label}')`)
    labels.push(label)
  },
  'write twice in one text': async (tx, label, { labels }) => {
    await tx.query(`insert into ledger values ('${label}a'); insert into ledger values ('${label}b')`)
    labels.push(`${label}a`, `${label}b`)
  },
  'write late': async (tx, label, { labels }) => {
    await tx.query(`notify ledger, '${label}'`)
    labels.push(label)
  },
  'write, not awaited': async (tx, label, { labels }) => {
    void tx.query(`insert into ledger values ('${label}')`).catch(() => {})
    labels.push(label)
  },
  'write when it may be over': async (tx, label, { possible, later }) => {
    possible.push(label)
    later(() => {
      tx.query(`insert into ledger values ('${label}')`).catch(() => {})
    })
  },
  read: async (tx) => {
    await tx.query('select 1')
  },
  'take long': async (tx) => {
    await tx.query('select slow()')
  },
  fail: async (tx) => {
    await tx.query('select fail()')
  },
  'fail, swallowed': async (tx) => {
    await tx.query('select fail()').catch(() => {})
  },
  'fail in a savepoint': async (tx) => {
    await tx.savepoint((inner) => inner.query('select fail()')).catch(() => {})
  },
  'write in a savepoint': async (tx, label, { labels }) => {
    await tx.savepoint((inner) => inner.query(`insert into ledger values ('${label}')`))
    labels.push(label)
  },
  'write in a savepoint, undone': async (tx, label) => {
    const undone = tx.savepoint(async (inner) => {
      await inner.query(`insert into ledger values ('${label}')`)
      throw new Error('undo this')
    })
    await undone.catch(() => {})
  },
  'conflict once': async (tx, _label, _attempted, key) => {
    await tx.query(`select conflict('${key}')`)
  },
  'conflict once, in COMMIT': async (tx, _label, _attempted, key) => {
    await tx.query(`select doom('${key}')`)
  },
}
