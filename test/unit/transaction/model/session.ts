import { answerTo } from './questions.ts'
import type { ModelServer } from './server.ts'
import { type Command, commandsIn } from './sql.ts'
import { ModelTransaction } from './transaction.ts'
import { bound, done, failure, nothingAsked, type Row, ready, type StatementRequest, type Status } from './wire.ts'

type Received = StatementRequest & { readonly isRefused: boolean }

/** The client's side of a session. */
export interface SessionClient {
  /** Whether the driver is still connected. */
  readonly isInUse: boolean
  /** The whole answer to one statement. */
  answer(messages: readonly Buffer[]): void
  /** The session has ended, with last messages or without. */
  close(lastWords: readonly Buffer[], how: 'fin' | 'reset'): void
}

/** The result of a command. */
export interface Outcome {
  readonly tag?: string
  readonly rows?: readonly Row[]
  readonly error?: readonly [code: string, message: string]
}

/**
 * One session of the model server. It executes what it has received one by one, and stops where something may happen in
 * between: before and after COMMIT takes effect, and in a slow statement. `goOn` is its next step.
 */
export class ModelSession {
  readonly pid: number
  /** The pid that the protocol names: behind a pooler, another one. */
  readonly protocolPid: number
  readonly key: number
  readonly start: string
  transaction: ModelTransaction | undefined
  /** Whether it was told to terminate. It does so between two statements, or where it has stopped. */
  isTerminated = false
  /** Whether it does so because its transaction takes too long. */
  isTooSlow = false
  /** Whether its client is gone. It notices when it reads again. */
  isAbandoned = false
  /** What `pg_stat_activity` shows of it. Times are in microseconds. */
  activity: {
    readonly state: string
    readonly query: string
    readonly queryStart: string | null
    readonly stateChange: string
  }
  readonly #server: ModelServer
  readonly #client: SessionClient
  readonly #input: Received[] = []
  #status: Status = 'I'
  #running: Generator<void, void> | undefined
  #current: StatementRequest | undefined
  /** The answer to the running statement, as far as there is one. */
  #said: Buffer[] = []
  /** Whether it has committed and not said so. It is not interrupted there. */
  #isHeld = false
  /** Whether it ends before it is ready for another statement. */
  #isEnding = false
  #isCancelled = false
  #isAlive = true

  constructor(server: ModelServer, client: SessionClient, isPooled: boolean) {
    this.#server = server
    this.#client = client
    this.start = server.now()
    this.activity = { state: 'idle', query: '', queryStart: null, stateChange: server.time() }
    this.pid = server.admit(this)
    this.protocolPid = isPooled ? this.pid + 10_000 : this.pid
    this.key = Number(this.start.slice(-9))
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** Whether it has a client. */
  get isInUse(): boolean {
    return this.#client.isInUse
  }

  /** The row that the statement in which it has stopped writes, if that is a single statement. */
  get runningLabel(): string | undefined {
    return this.isBusy ? labelIn(this.#current) : undefined
  }

  /** Whether it has stopped inside of a statement. */
  get isBusy(): boolean {
    return this.#isAlive && this.#running !== undefined
  }

  get mayDie(): boolean {
    return this.#isAlive && this.isTerminated
  }

  get mayNotice(): boolean {
    return this.#isAlive && this.isAbandoned && !this.#running && this.#input.length === 0
  }

  /** Whether a statement that matches was received and not started. */
  willReceive(isIt: (text: string) => boolean): boolean {
    return this.#isAlive && !this.isTerminated && this.#input.some(({ text }) => isIt(text))
  }

  /** `isRefused`: its first command isn't executed. */
  receive(statement: StatementRequest, isRefused: boolean): void {
    if (!this.#isAlive) return
    this.#input.push({ ...statement, isRefused })
    this.#listen()
  }

  goOn(): void {
    this.#step()
    this.#listen()
  }

  cancel(): void {
    this.#isCancelled = this.#running !== undefined
  }

  /** Ends the session, and aborts its transaction. */
  end(how: 'told' | 'fin' | 'reset'): void {
    if (!this.#isAlive) return
    if (how === 'told' && this.#isHeld) {
      this.#isEnding = true
      this.#step()
    }
    const said = this.#running ? this.#said : []
    if (how === 'told' && this.isTooSlow && this.isInUse) this.#server.notesSlow(this.runningLabel)
    this.#isAlive = false
    this.#running = undefined
    this.#abort()
    this.#server.sessions.delete(this)
    const lastWord = this.isTooSlow
      ? failure('FATAL', '25P04', 'terminating connection due to transaction timeout')
      : failure('FATAL', '57P01', 'terminating connection due to administrator command')
    this.#client.close(how === 'told' ? [...said, lastWord] : [], how === 'reset' ? 'reset' : 'fin')
  }

  #listen(): void {
    while (this.#isAlive && !this.#running && !this.isTerminated) {
      const statement = this.#input.shift()
      if (!statement) return
      this.#isCancelled = false
      this.#current = statement
      const now = this.#server.time()
      this.activity = { state: 'active', query: statement.text, queryStart: now, stateChange: now }
      this.#server.beginsSingle(labelIn(statement))
      this.#running = this.#carryOut(statement)
      this.#step()
    }
  }

  #step(): void {
    if (this.#running?.next().done) this.#running = undefined
  }

  *#carryOut({ text, values, parses, isRefused }: Received): Generator<void, void> {
    const isExtended = values !== undefined
    this.#said = isExtended ? bound(parses[0]) : []
    const commands = this.#commandsIn(text, values)
    let failed: Outcome['error']
    for (const [index, command] of commands.entries()) {
      const { tag, rows, error } = isRefused
        ? refused('53400', 'configuration limit exceeded')
        : yield* this.#do(command)
      failed = error
      // Outside of a transaction, a text is a transaction of its own: committed before its last statement is complete, or, in
      // the extended protocol, at Sync.
      if (!failed && !isExtended && index === commands.length - 1 && this.#status === 'I')
        failed = yield* this.#commit()
      if (failed) break
      if (isExtended && index > 0) this.#said.push(...bound(parses[index]))
      this.#said.push(...(tag ? done(tag, rows) : [nothingAsked()]))
    }
    if (!failed && isExtended && this.#status === 'I') failed = yield* this.#commit()
    if (failed) {
      this.#fail()
      this.#said.push(failure('ERROR', ...failed))
    }
    const state = { I: 'idle', T: 'idle in transaction', E: 'idle in transaction (aborted)' }[this.#status]
    this.activity = { ...this.activity, state, stateChange: this.#server.time() }
    this.#client.answer(this.#isEnding ? this.#said : [...this.#said, ready(this.#status)])
  }

  #commandsIn(text: string, values: readonly string[] | undefined): Command[] {
    try {
      return commandsIn(text, values)
    } catch (error) {
      this.#server.complaints.push(String(error))
      return [{ do: 'fail' }]
    }
  }

  *#do(command: Command): Generator<void, Outcome> {
    if (this.#status === 'E' && !['rollback', 'rollback to', 'commit', 'nothing'].includes(command.do))
      return refused('25P02', 'current transaction is aborted, commands ignored until end of transaction block')
    switch (command.do) {
      case 'begin':
      case 'begin read only':
        this.#status = 'T'
        this.#open().isReadOnly = command.do === 'begin read only'
        return { tag: 'BEGIN' }
      case 'commit':
        return yield* this.#end()
      case 'rollback':
        this.#abort()
        this.#status = 'I'
        return { tag: 'ROLLBACK' }
      case 'slow':
        yield
        return this.#isCancelled ? refused('57014', 'canceling statement due to user request') : { tag: 'SELECT 0' }
      case 'nothing':
        return {}
      case 'savepoint':
      case 'release':
      case 'rollback to':
        return this.#nest(command.do, command.name)
      case 'write slowly':
        yield
        if (this.#isCancelled) return refused('57014', 'canceling statement due to user request')
        return this.#write({ do: 'write', label: command.label })
      case 'write':
      case 'write late':
      case 'announce':
      case 'doom':
        return this.#write(command)
      case 'conflict':
        return this.#server.happensFirst(command.key) ? CONFLICT : { tag: 'SELECT 0' }
      case 'fail':
        return refused('22012', 'division by zero')
      case 'read':
      case 'echo':
      case 'probe':
      case 'who are you':
      case 'limits':
      case 'functions':
      case 'status':
      case 'where is':
      case 'terminate':
      case 'identify':
      case 'who serves':
      case 'look':
      case 'fence':
      case 'exists':
        return answerTo(command, this, this.#server)
    }
  }

  #write(command: Extract<Command, { do: 'write' | 'write late' | 'announce' | 'doom' }>): Outcome {
    const transaction = this.#open()
    // What isn't a write to the server, as pg_notify, is not refused.
    if (transaction.isReadOnly && command.do !== 'announce')
      return refused('25006', 'cannot execute INSERT in a read-only transaction')
    if (command.do === 'write') {
      this.#server.assignId(transaction)
      transaction.write(command.label)
      return { tag: 'INSERT 0 1' }
    }
    if (command.do === 'announce') this.#server.assignId(transaction)
    if (command.do === 'doom') transaction.isDoomed = this.#server.happensFirst(command.key)
    else transaction.writeLate(command.label)
    return { tag: 'SELECT 0' }
  }

  #nest(what: 'savepoint' | 'release' | 'rollback to', name: string): Outcome {
    const transaction = this.transaction
    if (this.#status === 'I' || !transaction) return refused('25P01', 'no transaction is in progress')
    if (what === 'savepoint') transaction.save(name)
    else if (!(what === 'release' ? transaction.release(name) : transaction.undoTo(name)))
      return refused('3B001', `savepoint "${name}" does not exist`)
    this.#status = 'T'
    return { tag: what.split(' ')[0]?.toUpperCase() ?? '' }
  }

  *#end(): Generator<void, Outcome> {
    const hasFailed = this.#status === 'E'
    if (hasFailed) this.#abort()
    const error = hasFailed ? undefined : yield* this.#commit()
    this.#status = 'I'
    return error ? { error } : { tag: hasFailed ? 'ROLLBACK' : 'COMMIT' }
  }

  /** Stops before it takes effect, and again before the answer. */
  *#commit(): Generator<void, Outcome['error']> {
    const { transaction } = this
    if (!transaction) return undefined
    const isSeen = transaction.labels.length > 0
    transaction.isCommitting = true
    if (isSeen || transaction.isDoomed) yield
    if (transaction.isDoomed) {
      this.#abort()
      return CONFLICT.error
    }
    if (isSeen) this.#server.assignId(transaction)
    this.#server.commit(transaction)
    this.transaction = undefined
    this.#isHeld = true
    if (isSeen) yield
    this.#isHeld = false
    return undefined
  }

  #open(): ModelTransaction {
    this.transaction ??= new ModelTransaction()
    return this.transaction
  }

  #abort(): void {
    if (this.transaction) this.#server.abort(this.transaction)
    this.transaction = undefined
  }

  /** In a transaction block the transaction waits for ROLLBACK, with its savepoints. */
  #fail(): void {
    if (this.#status === 'T' && this.transaction) this.#status = 'E'
    if (this.#status === 'I') this.#abort()
  }
}

function labelIn(statement: StatementRequest | undefined): string | undefined {
  return [statement?.text.match(/'(s\d+)'/)?.[1], ...(statement?.values ?? [])].find((each) =>
    /^s\d+$/.test(each ?? ''),
  )
}

const CONFLICT = refused('40001', 'could not serialize access')

function refused(code: string, message: string): Outcome {
  return { error: [code, message] }
}
