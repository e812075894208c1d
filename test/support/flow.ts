import type net from 'node:net'
import { type Conversation, type Direction, FrameReader, type Piece } from './frames.ts'
import { type CutKind, pass, swallow, type Treatment } from './treatment.ts'

/** How much one direction may hold back before it stops reading, so that a slow receiver slows the sender down. */
const MOST_BYTES_HELD = 1_048_576

interface Delayed {
  dueAt: number
  readonly bytes: number
  readonly send: () => void
}

/** What a {@link Flow} needs. */
export interface FlowOptions {
  readonly direction: Direction
  readonly conversation: Conversation
  readonly source: net.Socket
  readonly target: net.Socket
  /** Cuts the link that this flow is one half of. */
  readonly cut: (kind: CutKind) => void
}

/**
 * One direction of a link: reads from one socket, lets a {@link Treatment} decide, and writes to the other. An end or
 * a reset of the source becomes the same for the target, in its turn.
 */
export class Flow {
  readonly #options: FlowOptions
  readonly #frames: FrameReader
  readonly #delayed: Delayed[] = []
  #treatment: Treatment = pass
  #delayMillis = 0
  /** Stops waiting for what is due next. */
  #stopWaiting: (() => void) | undefined
  #bytesHeld = 0
  #bytesRead = 0
  #isDead = false

  constructor(options: FlowOptions) {
    const { source, target, conversation, direction } = options
    this.#options = options
    this.#frames = new FrameReader(conversation, direction)
    source.on('data', (chunk: Buffer) => this.#take(chunk))
    source.on('end', () => this.#end())
    // Whatever broke the source (a reset, a refused connection, an unreachable host): the target sees a reset.
    source.on('error', () => this.#send(0, () => reset(target)))
    source.on('close', () => this.#drop())
    target.on('drain', () => this.#throttle())
  }

  /** How many bytes came in, whatever became of them. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Whether everything vanishes here, for good. */
  get isDead(): boolean {
    return this.#isDead
  }

  /** Replaces the treatment. A dead flow keeps its own. */
  treat(treatment: Treatment): void {
    this.#treatment.dropped?.()
    if (this.#isDead) return treatment.dropped?.()
    this.#treatment = treatment
  }

  /** Makes everything vanish from now on, ends and resets included, and what was held back too. */
  kill(): void {
    this.treat(swallow)
    this.#isDead = true
    this.#delayed.length = 0
    this.#bytesHeld = 0
    this.#stopWaiting?.()
    this.#throttle()
  }

  /**
   * Holds everything back for a while, in order; with `Infinity` until another delay is set. What is already held back is sent no
   * later than if it arrived now.
   */
  delay(millis: number): void {
    this.#delayMillis = millis
    const latest = performance.now() + millis
    for (const each of this.#delayed) each.dueAt = Math.min(each.dueAt, latest)
    this.#sendDue()
  }

  /** Lets everything pass, and sends at once what was held back. */
  heal(): void {
    this.treat(pass)
    this.delay(0)
  }

  #take(chunk: Buffer): void {
    this.#bytesRead += chunk.length
    for (const piece of this.#frames.read(chunk)) this.#treatPiece(piece)
    this.#throttle()
  }

  #treatPiece(piece: Piece): void {
    this.#treatment.treat(piece, {
      forward: (bytes, written) => this.#send(bytes.length, () => this.#write(bytes, written)),
      cut: (kind) => {
        // Nothing may follow: the cut itself could be on its way for a while.
        this.#treatment = swallow
        this.#send(0, () => this.#options.cut(kind))
      },
      pass: () => {
        this.#treatment = pass
      },
    })
  }

  #end(): void {
    for (const piece of this.#frames.rest()) this.#treatPiece(piece)
    this.#send(0, () => {
      if (this.#options.target.writable) this.#options.target.end()
    })
  }

  #write(bytes: Buffer, written?: () => void): void {
    const { target } = this.#options
    // The source learns separately that the target is gone. The bytes in between are lost, as on any network.
    if (target.writable) target.write(bytes, written && ((error) => !error && written()))
  }

  #send(bytes: number, send: () => void): void {
    if (this.#isDead) return
    if (this.#delayMillis === 0 && this.#delayed.length === 0) return send()
    this.#delayed.push({ dueAt: performance.now() + this.#delayMillis, bytes, send })
    this.#bytesHeld += bytes
    this.#schedule()
  }

  #schedule(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = undefined
    const [next] = this.#delayed
    if (next && Number.isFinite(next.dueAt)) this.#stopWaiting = waitUntil(next.dueAt, () => this.#sendDue())
  }

  #sendDue(): void {
    const now = performance.now()
    while (this.#delayed[0] && this.#delayed[0].dueAt <= now) {
      const { bytes, send } = this.#delayed.shift() as Delayed
      this.#bytesHeld -= bytes
      send()
    }
    this.#schedule()
    this.#throttle()
  }

  #throttle(): void {
    const { source, target } = this.#options
    const isFull = this.#bytesHeld > MOST_BYTES_HELD || (target.writableNeedDrain && !this.#isDead)
    if (isFull) source.pause()
    else if (source.isPaused()) source.resume()
  }

  #drop(): void {
    this.#treatment.dropped?.()
    this.#treatment = swallow
  }
}

/**
 * Timers count whole milliseconds and fire up to one millisecond late. So the last millisecond is waited for in turns of the event
 * loop, and a delay of 1 ms doesn't become 2 ms. Returns a function that stops the waiting.
 */
function waitUntil(dueAt: number, then: () => void): () => void {
  const millis = dueAt - performance.now()
  if (millis >= 2) {
    const timer = setTimeout(then, millis - 1)
    return () => clearTimeout(timer)
  }
  const turn = setImmediate(then)
  return () => clearImmediate(turn)
}

/** Ends a socket so that its peer sees ECONNRESET. A socket that is just ending (FIN) is destroyed instead. */
export function reset(socket: net.Socket): void {
  if (socket.destroyed) return
  // libuv refuses to reset during a shutdown, and Node then never emits `close`.
  const isShuttingDown = socket.writableEnded && !socket.writableFinished
  if (isShuttingDown) socket.destroy()
  else socket.resetAndDestroy()
}
