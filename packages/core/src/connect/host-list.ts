import { Timelines } from '../commit/timelines.ts'
import { ConnectError, connectCauseOf, type Endpoint, NoReplicaError } from '../errors.ts'
import { addressOf, type Candidate, type Host, type LoadBalance } from '../options/hosts.ts'
import type { TargetSessionAttrs } from '../options/pool-options.ts'
import { type HostRole, isForPrimary, isPreference, rankOf, rankOfFallback, suits } from '../policy/host-suitability.ts'
import { isLag } from '../policy/wal-position.ts'
import type { Clock } from '../runtime/clock.ts'
import { type HostStatus, nameOfHost, stateOfHost } from '../telemetry/status.ts'
import { codeOf, messageOf } from '../thrown.ts'

/** What the list needs. */
export interface HostListOptions {
  readonly hosts: readonly Host[]
  readonly targetSessionAttrs: TargetSessionAttrs
  readonly loadBalanceHosts: LoadBalance
  readonly hostRecheckMillis: number
  /** If these are replicas: where connections lead while none of them suits. */
  readonly fallback?: HostFallback | undefined
  /** Whether it is final when no host suits, or is silent. */
  readonly failsAtOnce?: boolean | undefined
}

/** Other hosts, which serve while none of the list suits. */
export interface HostFallback {
  readonly hosts: readonly Host[]
  readonly targetSessionAttrs: TargetSessionAttrs
}

interface Known {
  readonly host: Host
  readonly role: HostRole | undefined
  /** Why it can't be used, apart from its role. */
  readonly failure: unknown
  readonly at: number
}

/** The hosts of a pool: what is known of each, and the order in which a connection tries them. */
export class HostList {
  readonly #options: HostListOptions
  readonly #clock: Pick<Clock, 'now' | 'random'>
  readonly #known = new Map<Host, Known>()
  /** All of them, and those that are only the fallback. */
  readonly #all: readonly Host[]
  readonly #fallback: ReadonlySet<Host>
  /** Connections to these are not used again. */
  #left: ReadonlySet<Host> = new Set()
  #begun = 0
  #current: Host | undefined
  readonly timelines: Timelines = new Timelines()

  constructor(options: HostListOptions, clock: Pick<Clock, 'now' | 'random'>) {
    this.#options = options
    this.#clock = clock
    this.#fallback = new Set(options.fallback?.hosts)
    this.#all = [...options.hosts, ...this.#fallback]
  }

  get size(): number {
    return this.#all.length
  }

  /** All but this one. */
  othersThan(host: Host | undefined): readonly Host[] {
    return this.#all.filter((each) => each !== host)
  }

  /** Those of the list itself, without the fallback. */
  get own(): readonly Host[] {
    return this.#options.hosts
  }

  /** Whether it is final when no host suits, or is silent. */
  get failsAtOnce(): boolean {
    return this.#options.failsAtOnce === true
  }

  /** Whether connections lead there only while no host of the list itself suits. */
  isFallback(host: Host): boolean {
    return this.#fallback.has(host)
  }

  get target(): TargetSessionAttrs {
    return this.#options.targetSessionAttrs
  }

  /** Begins to look for a host, on behalf of one connection: beside a host where a login is silent, if there are others. */
  begin(silent?: Host): HostRound {
    const hosts = this.size > 1 ? this.#ordered().filter((host) => host !== silent) : this.#ordered()
    const ranks = new Map(hosts.map((host) => [host, this.#rankOf(host)]))
    const order = [...ranks].toSorted(([, one], [, other]) => one - other).map(([host]) => host)
    return new HostRound(order, isPreference(this.target), (host) => this.#known.get(host))
  }

  /** Whether a server of this role is taken. */
  suits(role: HostRole | undefined, { host, isLastChoice }: Candidate): boolean {
    return isLastChoice || suits(role, this.#targetAt(host))
  }

  /** Whether this one suited when it was tried last. */
  isGood(host: Host): boolean {
    const known = this.#known.get(host)
    return known !== undefined && known.failure === undefined && suits(known.role, this.#targetAt(host))
  }

  /** Has connections leave those hosts that lag or have another role now, and the fallback once another one suits. */
  review(): void {
    const doesAnySuit = this.own.some((host) => this.isGood(host))
    this.#left = new Set(this.#all.filter((host) => (this.isFallback(host) ? doesAnySuit : this.#isUnfit(host))))
  }

  /** Whether connections to this host are not used again. */
  isLeft(candidate: Candidate | undefined): boolean {
    return this.#left.size > 0 && candidate !== undefined && this.#left.has(candidate.host)
  }

  /** A host has answered, in this role. */
  noteAnswer(host: Host, role: HostRole | undefined): void {
    this.#known.set(host, { host, role, failure: undefined, at: this.#clock.now() })
  }

  /** A host couldn't be used, or is silent. One that merely has the wrong role has answered. */
  noteFailure(host: Host, failure: unknown): void {
    if (isMisfit(failure)) return
    const { role } = this.#known.get(host) ?? {}
    this.#known.set(host, { host, role, failure, at: this.#clock.now() })
  }

  /** The host to which the last connection has led. */
  get current(): Host | undefined {
    return this.#current
  }

  /** A connection is taken from this host. Returns the one before, if it was another one. */
  take(host: Host): Host | undefined {
    const former = this.#current
    this.#current = host
    if (this.#left.has(host)) this.#left = new Set([...this.#left].filter((each) => each !== host))
    return former === host ? undefined : former
  }

  /** Whether it is news that connections lead from one host to another: to one at a time, or to the fallback and back. */
  isNews(from: Host, to: Host): boolean {
    const isOneAtATime = this.#options.loadBalanceHosts === false || this.isForPrimary
    return isOneAtATime || this.isFallback(from) !== this.isFallback(to)
  }

  /** Whether at most one of the hosts suits. */
  get isForPrimary(): boolean {
    return isForPrimary(this.target)
  }

  /** Whether the first primary must say on which timeline it is: then it is seen later that another one was promoted. */
  get isTimelineMissing(): boolean {
    return this.timelines.isEmpty && this.size > 1 && this.isForPrimary
  }

  /** What is known of each host, in the order of the list. */
  get status(): HostStatus[] {
    const now = this.#clock.now()
    return this.#all.map((each) => {
      const { host, port } = each
      const { role, failure, at } = this.#known.get(each) ?? {}
      const said = failure === undefined ? undefined : messageOf(connectCauseOf(failure))
      return Object.freeze({ host, port, role, failure: said, triedMillis: at === undefined ? undefined : now - at })
    })
  }

  /** The error of a connection for which no host was left: it names the state of each. */
  failure(error: unknown, endpoint: Endpoint): unknown {
    const hosts = this.#all
    if (hosts.length < 2) return this.failsAtOnce ? new NoReplicaError(endpoint, connectCauseOf(error)) : error
    const causes = hosts.flatMap((host) => connectCauseOf(this.#known.get(host)?.failure) ?? this.#misfit(host) ?? [])
    const states = this.status.map((each) => `${nameOfHost(each)} ${stateOfHost(each)}`)
    const wanted = this.target === 'any' ? '' : ` (targetSessionAttrs: ${this.target})`
    const text = `none of the hosts can be used${wanted}: ${states.join('; ')}`
    const [code, ...others] = new Set(causes.map(codeOf))
    const cause = Object.assign(new AggregateError(causes, text), others.length === 0 && code && { code })
    const where = { ...endpoint, hosts: hosts.map(addressOf) }
    return this.failsAtOnce ? new NoReplicaError(where, cause) : new ConnectError(where, cause)
  }

  #misfit(host: Host): Error | undefined {
    const role = this.#known.get(host)?.role
    return role && unsuitable(role, this.#targetAt(host))
  }

  /** One that is merely down isn't: its connections end by themselves. */
  #isUnfit(host: Host): boolean {
    const { role, failure } = this.#known.get(host) ?? {}
    return isLag(connectCauseOf(failure)) || (role !== undefined && !suits(role, this.target))
  }

  #targetAt(host: Host): TargetSessionAttrs {
    const { fallback } = this.#options
    return fallback && this.isFallback(host) ? fallback.targetSessionAttrs : this.target
  }

  #rankOf(host: Host): number {
    const known = this.#known.get(host)
    const isFresh = known !== undefined && this.#clock.now() - known.at < this.#options.hostRecheckMillis
    const recent = isFresh ? { role: known.role, hasFailed: known.failure !== undefined } : undefined
    return (this.isFallback(host) ? rankOfFallback : rankOf)(recent, this.#targetAt(host))
  }

  #ordered(): readonly Host[] {
    return [...this.#balanced(), ...this.#fallback]
  }

  #balanced(): readonly Host[] {
    const { hosts, loadBalanceHosts } = this.#options
    if (loadBalanceHosts === 'random') {
      const places = new Map(hosts.map((host) => [host, this.#clock.random()]))
      return hosts.toSorted((one, other) => (places.get(one) ?? 0) - (places.get(other) ?? 0))
    }
    if (loadBalanceHosts === false) return hosts
    const first = this.#begun++ % hosts.length
    return [...hosts.slice(first), ...hosts.slice(0, first)]
  }
}

/** The hosts that one connection tries, one after the other. */
export class HostRound {
  readonly #left: Host[]
  readonly #tried: Host[] = []
  readonly #knownOf: (host: Host) => Known | undefined
  #mayRelax: boolean
  #isLastChoice = false

  constructor(order: readonly Host[], isPreference: boolean, knownOf: (host: Host) => Known | undefined) {
    this.#left = [...order]
    this.#mayRelax = isPreference
    this.#knownOf = knownOf
  }

  /** The next host; undefined if none is left. After a preference, those come again that have answered in another role. */
  next(): Candidate | undefined {
    const host = this.#left.shift() ?? this.#relax()
    if (!host) return undefined
    this.#tried.push(host)
    return { host, isLastChoice: this.#isLastChoice }
  }

  #relax(): Host | undefined {
    if (!this.#mayRelax) return undefined
    this.#mayRelax = false
    this.#isLastChoice = true
    this.#left.push(...this.#tried.filter((host) => this.#knownOf(host)?.failure === undefined))
    return this.#left.shift()
  }
}

/** The error of a login to a server that doesn't suit. Its code says that another try may succeed. */
export function unsuitable(role: HostRole | undefined, target: TargetSessionAttrs): Error {
  const is = role === undefined ? "doesn't tell whether it takes writes" : IS[role]
  const error = Object.assign(new Error(`the server ${is}, and targetSessionAttrs is ${target}`), { code: '57P03' })
  MISFITS.add(error)
  return error
}

const MISFITS = new WeakSet<object>()

/** Whether a login has failed only because the server has another role. */
export function isMisfit(failure: unknown): boolean {
  const cause = connectCauseOf(failure)
  return typeof cause === 'object' && cause !== null && MISFITS.has(cause)
}

const IS: Readonly<Record<HostRole, string>> = {
  primary: 'takes writes',
  standby: 'is in hot standby',
  'read-only': 'is read only',
}
