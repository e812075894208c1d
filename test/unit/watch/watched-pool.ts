import type { Row } from '../../../packages/core/src/commit/server-report.ts'
import type { WatchedConnection, WatchedStatement } from '../../../packages/core/src/watch/silence.ts'
import { Watcher } from '../../../packages/core/src/watch/watcher.ts'
import type { Death } from '../../../packages/core/src/watch/watcher-parts.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const BOOT = 1_800_000_000_000
const STARTED = (BOOT - 1_000_000) * 1000

/** A connection, and the session behind it, as a test wants them. */
export class ScriptedConnection implements WatchedConnection {
  isLeased = true
  isLost = false
  transactionStatus: 'I' | 'T' | 'E' = 'I'
  readonly session = {
    traffic: { bytesRead: 0 as number | undefined, bytesWritten: 0, isFlushed: true, isReading: true },
  }
  readonly statements = { inFlight: { first: undefined as WatchedStatement | undefined, hasOneSent: true } }
  readonly pipeline = { hasSentEarly: false }
  /** What `pg_stat_activity` shows. Undefined: no such session. */
  row: Row | undefined
  readonly pid: number

  constructor(pid: number) {
    this.pid = pid
  }

  /** The program sends a statement. */
  send(text = 'select 1', kind: WatchedStatement['kind'] = 'statement', isOwed = true): void {
    this.session.traffic.bytesWritten += text.length
    this.statements.inFlight.first = { text, kind, isOwed }
  }

  /** Bytes arrive. */
  receive(bytes = 10): void {
    this.session.traffic.bytesRead = (this.session.traffic.bytesRead ?? 0) + bytes
  }

  /** The answer arrives. */
  answer(): void {
    this.receive()
    this.statements.inFlight.first = undefined
  }
}

/** A watch over scripted connections, with a scripted server. */
export class WatchedPool implements Disposable {
  readonly clock = new FakeClock()
  readonly connections: ScriptedConnection[] = []
  readonly verdicts: { readonly at: number; readonly pid: number; readonly verdict: string }[] = []
  readonly deaths: Death[] = []
  readonly limits: string[] = []
  readonly slow = new Map<number, unknown>()
  /** The questions, and when they were asked. */
  readonly asked: { readonly at: number; readonly sql: string; readonly how: string }[] = []
  /** How the server answers a question; `undefined` for as it does by itself. */
  answerTo: (sql: string) => Promise<readonly Row[]> | undefined = () => undefined
  /** Whether the network leads to the server. */
  reach: boolean | undefined = true
  serverStart = 1
  readonly watcher: Watcher<ScriptedConnection>

  constructor() {
    this.watcher = new Watcher<ScriptedConnection>({
      clock: this.clock,
      silentMillis: 500,
      connections: () => this.connections,
      ask: (sql, how) => {
        this.asked.push({ at: this.clock.now(), sql, how })
        return this.answerTo(sql) ?? Promise.resolve(this.#rows(sql))
      },
      reaches: async () => this.reach,
      onSlow: ({ pid }, slow) => this.slow.set(pid, slow),
      onVerdict: ({ pid }, { verdict }) => this.verdicts.push({ at: this.clock.now(), pid, verdict }),
      onDead: (connection, death) => {
        connection.isLost = true
        this.deaths.push(death)
      },
      onLimited: (why) => this.limits.push(why),
    })
  }

  /** Opens a connection, and has it say who it is. */
  open(isKnown = true): ScriptedConnection {
    const connection = new ScriptedConnection(this.connections.length + 1)
    this.connections.push(connection)
    const identity = { backendPid: connection.pid, backendStart: STARTED, serverStart: 1 }
    if (isKnown) this.watcher.know(connection, { identity, clock: { offset: BOOT, uncertainty: 1 } })
    return connection
  }

  /** Sends a statement, as the pool does. */
  send(connection: ScriptedConnection, ...statement: Parameters<ScriptedConnection['send']>): void {
    if (!this.watcher.isAwake) this.watcher.wake()
    connection.send(...statement)
  }

  /** A row of `pg_stat_activity`. */
  row(state: string, changedAt: number, changes: Row = {}): Row {
    const time = String((BOOT + changedAt) * 1000)
    return { state, query: 'select 1', query_start: time, state_change: time, ...changes }
  }

  /** The server's clock, as its answers show it. */
  get server(): Row {
    return {
      now: String(Math.round((BOOT + this.clock.now()) * 1000)),
      server_start: String(this.serverStart),
      statistics_start: '3',
      next_xid: '900',
    }
  }

  [Symbol.dispose](): void {
    this.watcher.stop()
    this.clock[Symbol.dispose]()
  }

  #rows(sql: string): Row[] {
    const isFence = sql.includes('pg_terminate_backend')
    const pids = isFence ? /a\.pid = (\d+)/.exec(sql)?.slice(1) : /values (.*)\) as asked/.exec(sql)?.[1]?.match(/\d+/g)
    return (pids ?? []).map((pid) => {
      const { row } = this.connections[Number(pid) - 1] as ScriptedConnection
      return { asked: pid, is_there: String(row !== undefined), backend_start: String(STARTED), ...row, ...this.server }
    })
  }
}
