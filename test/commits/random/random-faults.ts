import { setTimeout as pause } from 'node:timers/promises'
import {
  type Act,
  type AimedProxy,
  type Cluster,
  type FaultProxy,
  type NamedAct,
  type Point,
  until,
} from '../../support/index.ts'
import type { Random } from './random.ts'

/** What the faults need. */
export interface Ground {
  readonly cluster: Cluster
  readonly proxy: FaultProxy
  readonly aimed: AimedProxy
  readonly random: Random
}

const POINTS: readonly Point[] = ['before-forward', 'after-forward', 'on-reply']
const ACTS: readonly (NamedAct | 'kill' | 'delay')[] = [
  'fin',
  'rst',
  'swallow',
  'swallow-requests',
  'swallow-replies',
  'kill',
  'delay',
]
const STATEMENTS = [/^begin/i, /^update/i, /^insert/i, /savepoint/i, /^select pg_catalog/i]
const AIM_MILLIS = 1000
/** Longer than the payers of a run wait for a COMMIT. */
const LONG_MILLIS = 400

/** What may happen, and how likely it is. */
const WEIGHTS = {
  'at COMMIT': 40,
  'at a statement': 12,
  'links cut': 6,
  'link swallowed': 4,
  'byte corrupted': 2,
  slowness: 3,
  refusal: 2,
  'session killed': 6,
  'all sessions killed': 2,
  'session frozen': 2,
  'server frozen': 1,
  'backend crashed': 2,
  'immediate restart': 2,
  'fast restart': 2,
} as const

type Fault = keyof typeof WEIGHTS

const FAULTS: Record<Fault, (ground: Ground) => unknown> = {
  'at COMMIT': (ground) => aimAt(ground, /^commit/i),
  'at a statement': (ground) => aimAt(ground, ground.random.pick(STATEMENTS)),
  'links cut': ({ proxy, random }) => {
    const [kind, share] = [random.pick(['fin', 'rst'] as const), random.next()]
    proxy.cut(kind, { links: () => random.next() < share })
  },
  'link swallowed': ({ proxy, random }) => {
    const { links } = proxy
    const direction = random.pick(['both', 'to-server', 'to-client'] as const)
    if (links.length > 0) proxy.swallow({ links: [random.pick(links)], direction })
  },
  'byte corrupted': ({ proxy, random }) => {
    const { links } = proxy
    const direction = random.pick(['to-server', 'to-client'] as const)
    if (links.length > 0) void proxy.corrupt(direction, { links: [random.pick(links)] })
  },
  slowness: async ({ proxy, random }) => {
    proxy.delay(random.between(1, 20))
    await pause(random.between(20, 100))
    proxy.delay(0)
  },
  refusal: async ({ proxy, random }) => {
    proxy.refuse(random.between(20, 300))
    await proxy.whenListening()
  },
  'session killed': async (ground) => {
    const pid = await anyBackend(ground)
    if (pid !== undefined) await ground.cluster.terminateBackends({ pid })
  },
  'all sessions killed': ({ cluster }) => cluster.terminateBackends(),
  'session frozen': async (ground) => {
    const { cluster, random } = ground
    const pid = await anyBackend(ground)
    const millis = random.between(20, LONG_MILLIS)
    if (pid === undefined) return
    // It may end in between; then there is nothing to freeze, or to thaw.
    await cluster.freezeBackend(pid).catch(() => {})
    await pause(millis)
    await cluster.thawBackend(pid).catch(() => {})
  },
  'server frozen': async ({ cluster, random }) => {
    const millis = random.between(20, LONG_MILLIS)
    await cluster.freeze()
    await pause(millis)
    await cluster.thaw()
  },
  // The postmaster survives, and every other session ends.
  'backend crashed': async (ground) => {
    const pid = await anyBackend(ground)
    if (pid !== undefined) killNow(pid)
    await whenUp(ground.cluster)
  },
  'immediate restart': ({ cluster }) => cluster.restart('immediate'),
  'fast restart': ({ cluster }) => cluster.restart('fast'),
}

/** Breaks one thing after another until the signal aborts. Returns how often each fault struck. */
export async function strikeAtRandom(ground: Ground, signal: AbortSignal): Promise<ReadonlyMap<Fault, number>> {
  const { cluster, random } = ground
  const counts = new Map<Fault, number>()
  while (!signal.aborted) {
    const fault = random.weighed(WEIGHTS)
    counts.set(fault, (counts.get(fault) ?? 0) + 1)
    await FAULTS[fault](ground)
    await whenUp(cluster)
    await pause(random.between(0, 40))
  }
  return counts
}

/** What is aimed at may never come: then nothing happens. */
function aimAt({ cluster, aimed, random }: Ground, statement: RegExp): void {
  const point = random.pick(POINTS)
  const kind = random.pick(ACTS)
  const nth = random.between(1, 3)
  const millis = random.between(10, LONG_MILLIS)
  const acts: Record<'kill' | 'delay', Act> = {
    kill: async ({ backendPid }) => void (await cluster.terminateBackends({ pid: backendPid ?? 0 }).catch(() => {})),
    delay: () => pause(millis),
  }
  const act = kind === 'kill' || kind === 'delay' ? acts[kind] : kind
  aimed.aim({ statement, point, nth, timeoutMillis: AIM_MILLIS }, act).fired.catch(() => {})
}

async function anyBackend({ cluster, random }: Ground): Promise<number | undefined> {
  const sessions = await cluster.sessions().catch(() => [])
  return sessions.length === 0 ? undefined : random.pick(sessions).pid
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // It has ended meanwhile.
  }
}

async function whenUp(cluster: Cluster): Promise<void> {
  await until(() => cluster.query('select'), { what: 'the server to be up again' })
}
