import { blackHole } from './black-hole.ts'
import { blockedLoop } from './blocked-loop.ts'
import { fin, rst } from './cuts.ts'
import { dirtyReleases } from './dirty-releases.ts'
import { failover } from './failover.ts'
import type { Fault } from './fault.ts'
import { idleSilenced } from './idle-silenced.ts'
import { idleTerminated } from './idle-terminated.ts'
import { commitsReset, commitsSilenced } from './lost-commits.ts'
import { lostReplies } from './lost-replies.ts'
import { processFreeze } from './process-freeze.ts'
import { refused } from './refused.ts'
import { fastRestart, immediateRestart } from './restarts.ts'
import { serverFreeze } from './server-freeze.ts'
import { tlsCorruption } from './tls-corruption.ts'
import { transactionsTerminated } from './transactions-terminated.ts'

/** Everything that goes wrong, in the order in which it does. */
export const FAULTS: readonly Fault[] = [
  idleTerminated,
  transactionsTerminated,
  commitsReset,
  commitsSilenced,
  fastRestart,
  immediateRestart,
  fin,
  rst,
  tlsCorruption,
  blackHole,
  lostReplies,
  idleSilenced,
  serverFreeze,
  processFreeze,
  blockedLoop,
  refused,
  failover,
  dirtyReleases,
]

/** The faults of the short storm. Each shows something else: of the many ways to lose a connection, the commonest. */
export const TELLING_FAULTS: readonly Fault[] = [
  idleTerminated,
  transactionsTerminated,
  commitsReset,
  fastRestart,
  immediateRestart,
  rst,
  tlsCorruption,
  blackHole,
  refused,
  dirtyReleases,
]
