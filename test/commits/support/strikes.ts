import { setTimeout as pause } from 'node:timers/promises'
import { deferred } from '../../support/deferred.ts'
import { type AimedLink, type Cluster, until } from '../../support/index.ts'
import type { Strike } from './points.ts'

/** How long a COMMIT may take in these tests, in milliseconds. */
export const COMMIT_MILLIS = 250

/** What can happen to one link without any other taking notice. */
export const STRIKES = {
  FIN: () => (link) => link.cut('fin'),
  RST: () => (link) => link.cut('rst'),
  'black hole': () => (link) => link.swallow(),
  'delay that its client has no patience for': () => () => pause(2 * COMMIT_MILLIS),
  'kill of its backend': (cluster) => (link) => kill(cluster, link),
} satisfies Record<string, (cluster: Cluster) => Strike>

/** What happens to the whole server, and so to everyone. */
export const DISASTERS = {
  crash: (cluster) => cluster.restart('immediate'),
  'halt and its end': async (cluster) => {
    await cluster.freeze()
    // As long as it takes to give up on a COMMIT.
    setTimeout(() => void cluster.thaw(), 2 * COMMIT_MILLIS)
  },
} satisfies Record<string, (cluster: Cluster) => Promise<void>>

/** What a COMMIT survives that is on its way: when it arrives, its client has gone. */
export const SURVIVED: readonly string[] = ['delay that its client has no patience for', 'halt and its end']

/** One disaster for so many: it happens when all of them are there. */
export function together(count: number, disaster: () => Promise<void>): Strike {
  const { promise, resolve, reject } = deferred<void>()
  let missing = count
  return () => {
    if (--missing === 0) disaster().then(resolve, reject)
    return promise
  }
}

async function kill(cluster: Cluster, { backendPid: pid = 0 }: AimedLink): Promise<void> {
  await cluster.terminateBackends({ pid })
  await until(async () => (await cluster.countSessions({ pid })) === 0, { what: 'the killed session to be gone' })
}
