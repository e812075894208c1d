import { type Cut, isInquiry, type Mishap, type Moment, type Stall } from './mishaps.ts'
import type { Network, Possibility } from './network.ts'
import { ModelSession, type Outlet } from './session.ts'
import type { ModelSocket, Plug } from './socket.ts'
import { type Request, RequestReader, welcome } from './wire.ts'

type Outgoing = Request | { readonly kind: 'end' }
type Incoming = { readonly bytes: Buffer } | { readonly end: 'fin' | 'reset' }

interface OnItsWay<What> {
  readonly since: number
  readonly what: What
}

/** One connection of the driver's: what is on its way either way, and the session at its end. */
export class Link implements Plug, Outlet {
  readonly number: number
  readonly #network: Network
  readonly #reader = new RequestReader()
  readonly #toServer: OnItsWay<Outgoing>[] = []
  readonly #toClient: OnItsWay<Incoming>[] = []
  /** What goes wrong with the answers that are awaited, one each. */
  readonly #cuts: (Cut | undefined)[] = []
  #socket: ModelSocket | undefined
  #session: ModelSession | undefined
  #isConnecting = false
  #hasLeft = false
  /** Nothing that is sent from now on arrives. */
  #isDeaf = false
  #isMute = false
  #isInquiry = false
  #hasAsked = false
  #hasSuffered = false
  #since = 0
  readonly #stalledUntil: Record<Stall['what'], number> = { requests: 0, answers: 0, session: 0, disk: 0 }

  constructor(number: number, network: Network) {
    this.number = number
    this.#network = network
  }

  /** Whether it asks about the others, or may be going to; or is asked about, and told to end. */
  get isOfInquiry(): boolean {
    return this.#isInquiry || !this.#hasAsked || this.#session?.isTerminated === true
  }

  /** Whether it is of those that ask about the others, and something has gone wrong with it. */
  get hasFailedInquiry(): boolean {
    return (this.#isInquiry || !this.#hasAsked) && this.#hasSuffered
  }

  get session(): ModelSession | undefined {
    return this.#session
  }

  get isInUse(): boolean {
    return !this.#hasLeft && !this.#isDeaf
  }

  /** Whether something is on its way to the session, or waits there, that has this in it. */
  brings(isIt: (text: string) => boolean): boolean {
    if (!this.#session?.isAlive || this.#session.isTerminated) return false
    const isOnItsWay = this.#toServer.some(({ what }) => what.kind === 'statement' && isIt(what.text))
    return isOnItsWay || this.#session.willReceive(isIt)
  }

  connect(socket: ModelSocket): void {
    this.#socket = socket
    this.#isConnecting = true
    this.#touch()
  }

  send(chunk: Buffer): void {
    for (const what of this.#reader.read(chunk)) this.#sendOn(what)
  }

  leave(): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.#sendOn({ kind: 'end' })
  }

  answer(messages: readonly Buffer[]): void {
    const cut = this.#cuts.shift()
    this.#tell(cut ? messages.slice(0, cut.kept) : messages)
    if (cut) this.#cut(cut)
    this.#touch()
  }

  close(lastWord: Buffer | undefined, how: 'fin' | 'reset'): void {
    this.#tell(lastWord ? [lastWord] : [])
    this.#tellEnd(how)
    this.#isDeaf = true
  }

  destroy(): void {
    this.#isDeaf = true
    this.#isMute = true
    this.#toServer.length = 0
    this.#toClient.length = 0
    this.#socket?.destroy()
  }

  get possibilities(): Possibility[] {
    const [sent] = this.#toServer
    const [told] = this.#toClient
    const session = this.#session
    const possible: Possibility[] = []
    const add = (since: number, what: string, happen: () => void): void => {
      possible.push({ since, what: `${this.number}: ${what}`, happen })
    }
    if (this.#isConnecting) add(this.#since, 'connects', () => this.#accept())
    if (sent && !this.#isStalled('requests')) add(sent.since, `server gets ${nameOf(sent.what)}`, () => this.#arrive())
    if (told && !this.#isStalled('answers'))
      add(told.since, `client gets ${'end' in told.what ? told.what.end : 'an answer'}`, () => this.#hear())
    if (session?.isAtWork && !this.#isStalled('session') && !this.#isStalled('disk'))
      add(this.#since, 'session goes on', () => {
        this.#touch()
        session.goOn()
      })
    if (session?.mayDie && !this.#isStalled('disk')) add(this.#since, 'session ends as told', () => session.end('told'))
    if (session?.mayNotice) add(this.#since, 'session notices', () => session.end('fin'))
    return possible
  }

  #touch(): void {
    this.#since = this.#network.nextMoment()
  }

  #sendOn(what: Outgoing): void {
    if (!this.#isDeaf) this.#toServer.push({ since: this.#network.nextMoment(), what })
  }

  #tell(messages: readonly Buffer[]): void {
    const what = { bytes: Buffer.concat(messages) }
    if (!this.#isMute && messages.length > 0) this.#toClient.push({ since: this.#network.nextMoment(), what })
  }

  #tellEnd(end: 'fin' | 'reset'): void {
    if (!this.#isMute) this.#toClient.push({ since: this.#network.nextMoment(), what: { end } })
    this.#isMute = true
  }

  #accept(): void {
    this.#isConnecting = false
    if (this.#hasLeft) return
    if (this.#network.isRefusing)
      this.#socket?.destroy(
        Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' }),
      )
    else this.#socket?.emit('connect')
  }

  #hear(): void {
    const what = this.#toClient.shift()?.what
    if (!what || this.#socket?.destroyed) return
    if ('bytes' in what) this.#socket?.push(what.bytes)
    else if (what.end === 'fin') this.#socket?.push(null)
    else this.#socket?.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
  }

  #arrive(): void {
    const what = this.#toServer.shift()?.what
    if (!what) return
    if (what.kind === 'end' || what.kind === 'goodbye') this.#forsake()
    else if (what.kind === 'cancel') {
      this.#network.server.cancel(what.pid, what.key)
      this.#tellEnd('fin')
    } else this.#take(what)
  }

  #take(what: Extract<Request, { kind: 'start-up' | 'statement' }>): void {
    const due = this.#network.mishaps.at(what.kind === 'statement' ? what.text : undefined)
    this.#hasSuffered ||= due.length > 0
    this.#hasAsked ||= what.kind === 'statement' && !/^begin read only$/.test(what.text)
    this.#isInquiry ||= what.kind === 'statement' && isInquiry(what.text)
    this.#suffer(due, 'before')
    if (this.#isDeaf) return
    const ofAnswer = due.find(({ moment, trouble }) => moment === 'afterwards' && trouble.do === 'cut')
    this.#touch()
    if (what.kind === 'start-up') this.#letIn()
    else {
      this.#cuts.push(ofAnswer?.trouble as Cut | undefined)
      this.#session?.receive(what)
    }
    this.#suffer(due, 'meanwhile')
    const rest = due.filter((mishap) => mishap !== ofAnswer)
    if (!rest.some(({ moment }) => moment === 'afterwards')) return
    if (this.#session?.isAtWork) this.#session.goOn()
    this.#suffer(rest, 'afterwards')
  }

  #letIn(): void {
    const { server, isPooled } = this.#network
    const session = new ModelSession(server, this, isPooled)
    this.#session = session
    this.#tell(welcome(session.protocolPid, session.key))
  }

  #suffer(due: readonly Mishap[], when: Moment): void {
    const { server } = this.#network
    for (const { moment, trouble } of due) {
      if (moment !== when) continue
      if (trouble.do === 'cut') this.#cut(trouble)
      else if (trouble.do === 'stall') this.#stall(trouble)
      else if (trouble.do === 'terminate' && this.#session) this.#session.isTerminated = true
      else if (trouble.do === 'reset statistics') server.resetStatistics()
      else if (trouble.do === 'checkpoint') server.checkpoint()
      else if (trouble.do === 'fall') server.fall(trouble.how)
      if ('downMillis' in trouble) this.#network.refuse(trouble.downMillis)
    }
  }

  #isStalled(what: Stall['what']): boolean {
    return performance.now() < this.#stalledUntil[what]
  }

  #stall({ what, millis }: Stall): void {
    if (what === 'disk') this.#network.wasDiskStalled = true
    this.#stalledUntil[what] = performance.now() + millis
    // So that this moment comes, if nobody waits for another.
    setTimeout(() => {}, millis)
  }

  #cut({ how }: Cut): void {
    this.#isDeaf = true
    this.#toServer.length = 0
    if (how === 'silence') this.#isMute = true
    else {
      this.#tellEnd(how)
      this.#forsake()
    }
  }

  #forsake(): void {
    if (this.#session) this.#session.isForsaken = true
    // Whoever has not even said who he is.
    else this.#tellEnd('fin')
    this.#touch()
  }
}

function nameOf(what: Outgoing): string {
  return what.kind === 'statement' ? what.text.slice(0, 40) : what.kind
}
