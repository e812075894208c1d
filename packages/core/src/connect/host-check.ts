import { SYSTEM_IDENTIFIER, TIMELINE_NOW } from '../commit/server-report.ts'
import { isLater } from '../commit/verdict.ts'
import type { Connection } from '../connection/connection.ts'
import { ask } from '../connection/question.ts'
import { ROLE_QUESTION, unwritableBy } from '../connection/server-role.ts'
import { ConnectError } from '../errors.ts'
import type { Host } from '../options/hosts.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { HostRole } from '../policy/host-suitability.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import { type HostList, unsuitable } from './host-list.ts'

/** The pool's connections lead to another host than before. */
export interface HostChange {
  readonly from: Host
  readonly to: Host
  readonly role: HostRole | undefined
  /** Whether it was promoted in place of the former one, by its timeline: what runs there is lost. */
  readonly isPromoted: boolean
}

/** A host takes writes, although another one of its system was promoted. */
export interface FormerPrimary {
  readonly host: Host
  readonly timeline: string
  /** The timeline of the other one. */
  readonly highest: string
}

/** What checking the role of a server takes. */
export interface RoleCheckParts {
  readonly clock: Clock
  /** How long callers wait. */
  readonly patienceMillis: number
  readonly hosts: HostList | undefined
  /** A pooler may report at login what was true long ago. */
  readonly isBehindPooler: boolean
}

/**
 * Checks whether a server that has accepted a login has the role that is asked for. Its report is believed; it is asked where it
 * has sent none, and while a primary is missed.
 *
 * @throws {ConnectError} if it doesn't suit.
 */
export async function checkRole(connection: Connection, parts: RoleCheckParts): Promise<void> {
  const { clock, patienceMillis, hosts, isBehindPooler } = parts
  const { serverRole, candidate } = connection
  const isUnclear = hosts !== undefined && hosts.target !== 'any' && (isBehindPooler || serverRole.role === undefined)
  const { mustBeAsked } = serverRole
  let objection: Error | undefined
  if (mustBeAsked || isUnclear) {
    const [row] = await ask(connection, ROLE_QUESTION, clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
    serverRole.learn(row)
    if (mustBeAsked) objection = serverRole.judge(unwritableBy(row), patienceMillis)
  }
  const { role } = serverRole
  if (hosts && candidate) {
    hosts.noteAnswer(candidate.host, role)
    if (!hosts.suits(role, candidate)) objection = unsuitable(role, hosts.target)
  }
  if (objection) throw new ConnectError(connection.endpoint, objection)
}

const TIMELINE_QUESTION = `select ${TIMELINE_NOW} as timeline, ${SYSTEM_IDENTIFIER}::text as system`

/**
 * Takes a connection from its host. Returns where the pool's connections led before, if that was another host. Of two servers of
 * one system that take writes, the one on the higher timeline is right: the other one, of which `onFormer` is told, has missed a
 * promotion.
 *
 * @throws {ConnectError} if it is the other one.
 */
export async function takeHost(
  connection: Connection,
  hosts: HostList,
  clock: Clock,
  onFormer: (former: FormerPrimary) => void,
): Promise<HostChange | undefined> {
  const { candidate, serverRole } = connection
  if (!candidate) return undefined
  const { role } = serverRole
  const { current } = hosts
  // The fallback of replicas is found by the pool of the primary, which knows its timeline.
  const isOfPrimary = role === 'primary' && !hosts.isFallback(candidate.host)
  const isAsked = isOfPrimary && (current ? current !== candidate.host : hosts.isTimelineMissing)
  const seen = isAsked ? await timelineOf(connection, hosts, clock) : undefined
  const isPromoted = seen !== undefined && isLater(seen.timeline, seen.highest)
  if (seen && isLater(seen.highest, seen.timeline)) {
    const { timeline, highest } = seen
    onFormer({ host: candidate.host, timeline, highest })
    const text = `the server takes writes on timeline ${timeline}, and another one of the same system on timeline ${highest}`
    throw new ConnectError(connection.endpoint, Object.assign(new Error(text), { code: '57P03' }))
  }
  const from = hosts.take(candidate.host)
  return from && hosts.isNews(from, candidate.host) ? { from, to: candidate.host, role, isPromoted } : undefined
}

/** Whether the server in which this asks takes writes on a higher timeline than any other of its system that the pool has met. */
export async function wasPromoted(
  askThere: (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>,
  hosts: HostList,
): Promise<boolean> {
  const seen = noteTimeline(await askThere(TIMELINE_QUESTION), hosts)
  return seen !== undefined && isLater(seen.timeline, seen.highest)
}

/** The timeline of a server, and the highest one before. */
interface SeenTimeline {
  readonly timeline: string
  readonly highest: string
}

/** Takes note of the answer. Returns undefined if there is nothing to compare. */
function noteTimeline([row]: readonly Readonly<Record<string, unknown>>[], hosts: HostList): SeenTimeline | undefined {
  const { timeline, system } = row ?? {}
  if (typeof timeline !== 'string' || typeof system !== 'string') return undefined
  const highest = hosts.timelines.note(system, timeline)
  return highest === undefined ? undefined : { timeline, highest }
}

async function timelineOf(connection: Connection, hosts: HostList, clock: Clock): Promise<SeenTimeline | undefined> {
  try {
    return noteTimeline(await ask(connection, TIMELINE_QUESTION, clock, INTERNAL_QUERY_TIMEOUT_MILLIS), hosts)
  } catch (error) {
    if (severityOf(error) === undefined) throw new ConnectError(connection.endpoint, connection.loss?.cause ?? error)
    return undefined // It isn't PostgreSQL's own server, or forbids the question.
  }
}
