/** Which server a session is on, as far as the ids of its transactions depend on it, and which session it is. */
export interface ServerIdentity {
  /** The process that serves the session. Behind a pooler it is not the one that the protocol names. */
  readonly backendPid: number
  /** When that process began, in microseconds since 1970: a pid may be used again. */
  readonly backendStart: string
  /** Of the data directory, since initdb. */
  readonly systemIdentifier: string
  /** Changes with each promotion. */
  readonly timeline: string
  /** When the server was started. */
  readonly postmasterStart: string
  /**
   * When the server's statistics began. They begin again after each crash, also after one that the postmaster survives, and
   * survive a clean restart.
   */
  readonly statisticsStart: string
}

/** A transaction, as another session can ask about it. */
export interface TransactionIdentity extends ServerIdentity {
  /** 64 bits, as text. */
  readonly transactionId: string
}

/** What the server says of itself when it is asked about a transaction. */
export interface ServerState {
  readonly server: ServerIdentity
  /** The first id that its last checkpoint had not seen. */
  readonly nextTransactionId: string
  /** Whether that checkpoint is the one that the server began with: then it holds what was known before the start. */
  readonly isFirstCheckpoint: boolean
}

/** What the server says of a transaction: `future` if it has seen no such id, null if it no longer keeps the outcome. */
export type XidStatus = 'committed' | 'aborted' | 'in progress' | 'future' | null

/** What became of a transaction whose COMMIT was lost. */
export type CommitVerdict = 'committed' | 'aborted' | { readonly unknown: string }

/**
 * Decides what a server's words about a transaction prove.
 *
 * An id means something only on the same timeline of the same system. After a crash the server may use the id of a
 * transaction again that had left no trace on disk. Then `committed` may be said of that other transaction, so it proves
 * nothing; `aborted` is right for both.
 */
export function judgeVerdict(
  asked: TransactionIdentity,
  { server, nextTransactionId, isFirstCheckpoint }: ServerState,
  status: XidStatus,
): CommitVerdict | 'in progress' {
  if (server.systemIdentifier !== asked.systemIdentifier) return { unknown: 'the server is another system' }
  if (server.timeline !== asked.timeline) return failedOver(asked, server)
  if (status === null) return { unknown: 'the transaction is too old: the server has forgotten its outcome' }
  const hasCrashed = server.statisticsStart !== asked.statisticsStart
  if (!hasCrashed) return status === 'future' ? { unknown: 'the server has never heard of the transaction' } : status
  if (status === 'future' || status === 'aborted') return 'aborted'
  // Without a restart, a user may have reset the statistics.
  const hasRestarted = server.postmasterStart !== asked.postmasterStart
  // The server began without knowing the id: the transaction had left no trace.
  if (hasRestarted && isFirstCheckpoint && BigInt(nextTransactionId) <= BigInt(asked.transactionId)) return 'aborted'
  // The session ended with its server, so the transaction in progress under this id is another one.
  if (status === 'in progress') return hasRestarted ? 'aborted' : 'in progress'
  return { unknown: 'the server has crashed since, and may have used the id of the transaction again' }
}

/** A server, as far as a promotion shows on it. */
type OnTimeline = Pick<ServerIdentity, 'systemIdentifier' | 'timeline'>

/** What another server proves, if that of the transaction can't be reached: only that it was promoted in its place. */
export function judgeFailover(asked: ServerIdentity, server: OnTimeline): CommitVerdict | undefined {
  const isSuccessor = server.systemIdentifier === asked.systemIdentifier && isLater(server.timeline, asked.timeline)
  return isSuccessor ? failedOver(asked, server) : undefined
}

/** Whether a timeline begins after another one of the same system. They are hexadecimal numbers. */
export function isLater(one: string, other: string): boolean {
  return Number.parseInt(one, 16) > Number.parseInt(other, 16)
}

function failedOver(asked: ServerIdentity, server: OnTimeline): CommitVerdict {
  return { unknown: `the server has failed over: timeline ${asked.timeline} has become ${server.timeline}` }
}
