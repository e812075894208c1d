/** What the function of a transaction does, one after the other. */
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

/** What a function of a transaction is given, by whoever runs it. */
export interface Tx {
  query(text: string, values?: unknown[]): Promise<unknown>
  savepoint<Result>(fn: (inner: Tx) => Promise<Result>): Promise<Result>
}

/** One attempt, as its function knows it: what it has written, if it is committed. */
export interface Attempted {
  readonly number: number
  /** The rows that are there if it is. */
  readonly labels: string[]
  /** The rows that may be there, too. */
  readonly perhaps: string[]
  /** Runs this when the attempt may have ended. */
  readonly later: (task: () => void) => void
}

/** Does these steps, and notes what they have written. `key` is that of the transaction. */
export async function perform(tx: Tx, steps: readonly Step[], key: string, attempted: Attempted): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const label = `${key}.${attempted.number}.${index}`
    await STEPS[step](tx, label, attempted, key)
  }
}

const STEPS: Record<Step, (tx: Tx, label: string, attempted: Attempted, key: string) => Promise<void>> = {
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
  'write when it may be over': async (tx, label, { perhaps, later }) => {
    perhaps.push(label)
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
