import { type Cut, type Fault, isInquiry, type Moment, type Stall } from './faults.ts'
import type { Network, Possibility } from './network.ts'
import { ModelSession, type SessionClient } from './session.ts'
import type { ModelSocket, SocketPeer } from './socket.ts'
import { type Request, RequestReader, welcome } from './wire.ts'

type Outgoing = Request | { readonly kind: 'end' }
type Incoming = { readonly bytes: Buffer } | { readonly end: 'fin' | 'reset' }

interface OnItsWay<What> {
  readonly since: number
  readonly what: What
}

/** One connection of the driver's: what is under way in both directions, and the session at its end. */
export class Link implements SocketPeer, SessionClient {
  readonly number: number
  readonly #network: Network
  readonly #reader = new RequestReader()
  readonly #toServer: OnItsWay<Outgoing>[] = []
  readonly #toClient: OnItsWay<Incoming>[] = []
  /** One for each outstanding answer: how it is cut off, if it is. */
  readonly #cuts: (Cut | undefined)[] = []
  #socket: ModelSocket | undefined
  #session: ModelSession | undefined
  #isConnecting = false
  #hasLeft = false
  /** Whether requests that are sent from now on are lost. */
  #losesRequests = false
  #losesAnswers = false
  #isInquiry = false
  #hasAsked = false
  #hadFault = false
  #since = 0
  /** How many answers have reached the client, that to its login included. */
  #answers = 0
  readonly #stalledUntil: Record<Stall['what'], number> = { requests: 0, answers: 0, session: 0, disk: 0 }

  constructor(number: number, network: Network) {
    this.number = number
    this.#network = network
  }

  /** Whether it belongs to an inquiry: it asks, or may be about to ask, or its session was told to terminate. */
  get isOfInquiry(): boolean {
    return this.#isInquiry || !this.#hasAsked || this.#session?.isTerminated === true
  }

  /** Whether it belongs to the inquiries, and had a fault. */
  get hasFailedInquiry(): boolean {
    return (this.#isInquiry || !this.#hasAsked) && this.#hadFault
  }

  /** Whether the client knows which session this is: its first statement has asked for that. */
  get isIdentified(): boolean {
    return this.#answers > 1
  }

  get session(): ModelSession | undefined {
    return this.#session
  }

  get isInUse(): boolean {
    return !this.#hasLeft && !this.#losesRequests
  }

  /** Whether a statement that matches is on its way to the session, or waits there. */
  carries(isIt: (text: string) => boolean): boolean {
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
    for (const what of this.#reader.read(chunk)) this.#sendToServer(what)
  }

  leave(): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    if (!this.#losesRequests && !this.#losesAnswers) this.#network.server.notesSlow(this.#session?.runningLabel)
    this.#sendToServer({ kind: 'end' })
  }

  answer(messages: readonly Buffer[]): void {
    const cut = this.#cuts.shift()
    this.#sendToClient(cut ? messages.slice(0, cut.kept) : messages)
    if (cut) this.#cut(cut)
    this.#touch()
  }

  close(lastWords: readonly Buffer[], how: 'fin' | 'reset'): void {
    this.#sendToClient(lastWords)
    this.#sendEnd(how)
    this.#losesRequests = true
  }

  destroy(): void {
    this.#losesRequests = true
    this.#losesAnswers = true
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
    if (sent && !this.#isStalled('requests'))
      add(sent.since, `server gets ${nameOf(sent.what)}`, () => this.#deliverToServer())
    if (told && !this.#isStalled('answers'))
      add(told.since, `client gets ${'end' in told.what ? told.what.end : 'an answer'}`, () => this.#deliverToClient())
    if (session?.isBusy && !this.#isStalled('session') && !this.#isStalled('disk'))
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

  #sendToServer(what: Outgoing): void {
    if (!this.#losesRequests) this.#toServer.push({ since: this.#network.nextMoment(), what })
  }

  #sendToClient(messages: readonly Buffer[]): void {
    const what = { bytes: Buffer.concat(messages) }
    if (!this.#losesAnswers && messages.length > 0) this.#toClient.push({ since: this.#network.nextMoment(), what })
  }

  #sendEnd(end: 'fin' | 'reset'): void {
    if (!this.#losesAnswers) this.#toClient.push({ since: this.#network.nextMoment(), what: { end } })
    this.#losesAnswers = true
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

  #deliverToClient(): void {
    const what = this.#toClient.shift()?.what
    if (!what || this.#socket?.destroyed) return
    if ('bytes' in what) {
      this.#answers++
      this.#socket?.receive(what.bytes)
    } else if (what.end === 'fin') this.#socket?.push(null)
    else this.#socket?.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
  }

  #deliverToServer(): void {
    const what = this.#toServer.shift()?.what
    if (!what) return
    if (what.kind === 'end' || what.kind === 'goodbye') this.#abandon()
    else if (what.kind === 'cancel') {
      this.#network.server.cancel(what.pid, what.key)
      this.#sendEnd('fin')
    } else this.#take(what)
  }

  #take(what: Extract<Request, { kind: 'start-up' | 'statement' }>): void {
    const due = this.#network.faults.at(what.kind === 'statement' ? what.text : undefined)
    this.#hadFault ||= due.length > 0
    this.#hasAsked ||= what.kind === 'statement' && !/^begin read only$/.test(what.text)
    this.#isInquiry ||= what.kind === 'statement' && isInquiry(what.text)
    this.#apply(due, 'before')
    if (this.#losesRequests) return
    const ofAnswer = due.find(({ moment, effect }) => moment === 'afterwards' && effect.do === 'cut')
    this.#touch()
    if (what.kind === 'start-up') this.#logIn()
    else {
      this.#cuts.push(ofAnswer?.effect as Cut | undefined)
      const isRefused = /^begin\b/i.test(what.text) && due.some(({ effect }) => effect.do === 'refuse BEGIN')
      this.#session?.receive(what, isRefused)
    }
    this.#apply(due, 'meanwhile')
    const rest = due.filter((fault) => fault !== ofAnswer)
    if (!rest.some(({ moment }) => moment === 'afterwards')) return
    if (this.#session?.isBusy) this.#session.goOn()
    this.#apply(rest, 'afterwards')
  }

  #logIn(): void {
    const { server, isPooled } = this.#network
    const session = new ModelSession(server, this, isPooled)
    this.#session = session
    this.#sendToClient(welcome(session.protocolPid, session.key))
  }

  #apply(due: readonly Fault[], when: Moment): void {
    const { server } = this.#network
    for (const { moment, effect } of due) {
      // Only what runs can take too long.
      if ((effect.do === 'time out' ? 'meanwhile' : moment) !== when) continue
      if (effect.do === 'cut') this.#cut(effect)
      else if (effect.do === 'stall') this.#stall(effect)
      else if ((effect.do === 'terminate' || effect.do === 'time out') && this.#session) {
        this.#session.isTerminated = true
        this.#session.isTooSlow = effect.do === 'time out' && this.#session.isBusy
      } else if (effect.do === 'reset statistics') server.resetStatistics()
      else if (effect.do === 'checkpoint') server.checkpoint()
      else if (effect.do === 'go down') server.goDown(effect.how)
      if ('downMillis' in effect) this.#network.refuse(effect.downMillis)
    }
  }

  #isStalled(what: Stall['what']): boolean {
    return performance.now() < this.#stalledUntil[what]
  }

  #stall({ what, millis }: Stall): void {
    if (what === 'disk') this.#network.wasDiskStalled = true
    this.#stalledUntil[what] = performance.now() + millis
    // A timer, so that time advances to this moment.
    setTimeout(() => {}, millis)
  }

  #cut({ how }: Cut): void {
    this.#losesRequests = true
    this.#toServer.length = 0
    if (how === 'silence') this.#losesAnswers = true
    else {
      this.#sendEnd(how)
      this.#abandon()
    }
  }

  #abandon(): void {
    if (this.#session) this.#session.isAbandoned = true
    // The client had not logged in.
    else this.#sendEnd('fin')
    this.#touch()
  }
}

function nameOf(what: Outgoing): string {
  return what.kind === 'statement' ? what.text.slice(0, 40) : what.kind
}
