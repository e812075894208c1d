import { type Act, type AimedLink, type AimedProxy, type Cluster, type Point, until } from '../../support/index.ts'

/** What has become of a COMMIT; `either` if the server may have it, and may not. */
export type Fate = 'written' | 'not written' | 'either'

/** Where on its way a COMMIT is caught. */
export interface Place {
  readonly name: string
  readonly point: Point
  /** Whether the server is to be at work on the COMMIT, for as long as it is let. */
  readonly waits?: true
  /** What becomes of it when it gets no further than here. */
  readonly fate: Fate
  /** What is swallowed before anything else happens. */
  readonly swallows?: 'to-server' | 'to-client'
}

/** All of them, each with what must come out of it. */
export const PLACES: readonly Place[] = [
  { name: 'before it is forwarded', point: 'before-forward', fate: 'not written' },
  { name: 'after it was forwarded', point: 'after-forward', fate: 'either' },
  { name: 'while the server is at work on it', point: 'after-forward', waits: true, fate: 'not written' },
  { name: 'on its reply', point: 'on-reply', fate: 'written' },
  { name: 'with its requests swallowed', point: 'before-forward', swallows: 'to-server', fate: 'not written' },
  { name: 'with its replies swallowed', point: 'before-forward', swallows: 'to-client', fate: 'written' },
]

/** What happens there. */
export type Strike = (link: AimedLink) => unknown

/** Catches the next COMMIT at this place; resolves when it was struck. */
export async function strikeAt(
  { point, waits, swallows }: Place,
  { proxy, cluster, isWritten }: { proxy: AimedProxy; cluster: Cluster; isWritten: () => Promise<boolean> },
  strike: Strike,
): Promise<void> {
  const act: Act = async (link) => {
    if (waits) await until(() => isAtWork(cluster, link), { what: 'the server to be at work on COMMIT' })
    if (swallows) link.swallow(swallows)
    // Replies that are swallowed are swallowed when there are some.
    return swallows === 'to-client' ? undefined : strike(link)
  }
  const link = await proxy.aim({ statement: /^commit/i, point }, act).fired
  if (swallows !== 'to-client') return
  await until(isWritten, { what: 'the server to carry out COMMIT' })
  await strike(link)
}

async function isAtWork(cluster: Cluster, { backendPid = 0 }: AimedLink): Promise<boolean> {
  const [session] = await cluster.sessions({ pid: backendPid })
  return session?.waitEvent === 'PgSleep'
}
