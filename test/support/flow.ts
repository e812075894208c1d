import type net from 'node:net'
import { type Conversation, type Direction, FrameReader, type Piece } from './frames.ts'
import { type CutKind, pass, swallow, type Treatment } from './treatment.ts'

/** As much as one direction may hold back before it stops reading, so that a slow receiver slows the sender down. */
const MOST_BYTES_HELD = 1_048_576

interface Delayed {
  dueAt: number
  readonly bytes: number
  readonly send: () => void
}

/** What a {@link Flow} is made of. */
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

  /** Everything that is still to come vanishes, ends and resets included, and what was held back, too. */
  kill(): void {
    this.treat(swallow)
    this.#isDead = true
    this.#delayed.length = 0
    this.#bytesHeld = 0
    this.#stopWaiting?.()
    this.#throttle()
  }

  /**
   * Holds everything back for a while, in order; `Infinity` until another delay. What is held back already leaves no
   * later than it would if it came now.
   */
  delay(millis: number): void {
    this.#delayMillis = millis
    const latest = performance.now() + millis
    for (const each of this.#delayed) each.dueAt = Math.min(each.dueAt, latest)
    this.#sendDue()
  }

  /** Lets everything pass, and sends off at once what was held back. */
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
    // A target that is gone has its own way of telling the source; the bytes in between are lost, as on any wire.
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
 * Timers count whole milliseconds, and come up to one late: the last of it is waited out in turns of the event loop, so
 * that a delay of 1 ms isn't one of 2 for whoever happens to send early in a millisecond. Returns how to stop waiting.
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

/** Ends a socket so that its peer sees ECONNRESET; one that is just saying goodbye (FIN) is let go of instead. */
export function reset(socket: net.Socket): void {
  if (socket.destroyed) return
  // libuv refuses to reset during a shutdown, and Node then never tells that the socket is closed.
  const isShuttingDown = socket.writableEnded && !socket.writableFinished
  if (isShuttingDown) socket.destroy()
  else socket.resetAndDestroy()
}
