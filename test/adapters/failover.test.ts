import { CommitOutcomeUnknownError, type PoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/failover-test.ts'
import { listOf } from '../faults/support/host-list.ts'
import { settles } from '../faults/support/settling.ts'
import { type Cluster, FaultProxy, until } from '../support/index.ts'
import type { Database, Subject } from './subject.ts'
import { subject as drizzle } from './subjects/drizzle.ts'
import { subject as drizzleStock } from './subjects/drizzle-stock.ts'
import { subject as kysely } from './subjects/kysely.ts'
import { subject as kyselyStock } from './subjects/kysely-stock.ts'
import { subject as pg } from './subjects/pg.ts'
import { subject as typeorm } from './subjects/typeorm.ts'
import { subject as typeormStock } from './subjects/typeorm-stock.ts'
import { causesOf } from './support/causes.ts'

const SUBJECTS: readonly Subject[] = [pg, drizzle, drizzleStock, kysely, kyselyStock, typeorm, typeormStock]

/** The address of the primary, and what every subject has seen there before the fault. */
const test = base
  .extend('address', async ({ primary }, { onCleanup }) => {
    const address = await FaultProxy.start(primary)
    onCleanup(() => address[Symbol.asyncDispose]())
    return address
  })
  .extend('services', async ({ primary, standby, address }, { onCleanup }) => {
    await primary.query('create table entry (id text primary key)')
    await primary.query('grant all on entry to app')
    await until(async () => (await standby.query("select from pg_class where relname = 'entry'")).length === 1)
    // Else what was acknowledged may be gone with the primary, and nobody can prevent that.
    await primary.setting('synchronous_standby_names', '*')
    // Transactional, so that a single write is told as unknown at worst, like a transaction.
    const options = listOf([address, standby], primary, { transactionalWrites: true, max: 4 })
    const services = SUBJECTS.map((subject) => new Service(subject, options))
    await Promise.all(services.map((service) => service.start()))
    onCleanup(async () => void (await Promise.all(services.map((service) => service.close()))))
    return services
  })

/** One ORM under load: it writes single entries and transactions, and reads. */
class Service {
  readonly #subject: Subject
  readonly #options: PoolOptions
  readonly errors: unknown[] = []
  /** The ids that were written, as far as the caller was told. */
  readonly written: string[] = []
  #database: Database | undefined
  #calls: Promise<unknown> = Promise.resolve()
  #isOver = false

  constructor(subject: Subject, options: PoolOptions) {
    this.#subject = subject
    this.#options = options
  }

  get name(): string {
    return this.#subject.name
  }

  async start(): Promise<void> {
    const database = await this.#subject.open(this.#options)
    this.#database = database
    const write = (id: string): Promise<unknown> => database.insert(id)
    const transact = (id: string): Promise<unknown> => database.transaction((tx) => tx.insert(id), { retry: true })
    const callers = [this.#write('single', write), this.#read(database)]
    // An unmodified ORM runs a transaction once.
    if (this.#subject.retries) callers.push(this.#write('transaction', transact))
    this.#calls = Promise.all(callers)
    await this.writes(10)
  }

  /** Resolves when it has written so many entries more. */
  async writes(count: number): Promise<void> {
    const { length } = this.written
    await until(() => this.written.length >= length + count, { what: `${this.name} to write`, timeoutMillis: 20_000 })
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await settles(this.#calls, `the calls of ${this.name}`)
  }

  async close(): Promise<void> {
    this.#isOver = true
    await this.#database?.[Symbol.asyncDispose]()
  }

  async #write(kind: string, write: (id: string) => Promise<unknown>): Promise<void> {
    for (let number = 0; !this.#isOver; number++) {
      const id = `${this.name} ${kind} ${number}`
      try {
        await write(id)
        this.written.push(id)
      } catch (error) {
        if (!isUnknown(error)) this.errors.push(error)
      }
    }
  }

  async #read(database: Database): Promise<void> {
    while (!this.#isOver) await database.ids().catch((error: unknown) => this.errors.push(error))
  }
}

/** Whether nothing can tell what became of a COMMIT that was lost with its server. */
function isUnknown(error: unknown): boolean {
  return causesOf(error).some((each) => each instanceof CommitOutcomeUnknownError)
}

interface Fault {
  readonly name: string
  run(parts: { readonly primary: Cluster; readonly standby: Cluster; readonly address: FaultProxy }): Promise<void>
}

const FAULTS: readonly Fault[] = [
  {
    name: 'the primary crashes and its standby is promoted',
    async run({ primary, standby }) {
      await primary.stop('immediate')
      await standby.promote()
    },
  },
  {
    name: 'the primary is shut down and its standby is promoted',
    async run({ primary, standby }) {
      await primary.stop('fast')
      await standby.promote()
    },
  },
  {
    name: 'the primary falls silent and its standby is promoted',
    async run({ standby, address }) {
      address.swallow()
      await standby.promote()
    },
  },
  {
    name: 'the primary becomes read only and its standby is promoted',
    async run({ primary, standby }) {
      await primary.setting('default_transaction_read_only', true)
      await standby.promote()
    },
  },
]

describe.each(FAULTS)('$name', ({ run }) => {
  test('no ORM over the list of both sees an error but an unknown outcome, loses nothing, and goes on', async ({
    primary,
    standby,
    address,
    services,
  }) => {
    await run({ primary, standby, address })
    await Promise.all(services.map((service) => service.writes(20)))
    await Promise.all(services.map((service) => service.stop()))
    expect(services.flatMap(({ name, errors }) => errors.map((error) => [name, error]))).toEqual([])
    const found = new Set((await standby.query<{ id: string }>('select id from entry')).map(({ id }) => id))
    const written = services.flatMap((service) => service.written)
    expect(written.filter((id) => !found.has(id))).toEqual([])
  })
})
