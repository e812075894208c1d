import { carriesData, type Frame, type Piece } from './frames.ts'

/** How a connection is cut: `fin` is an orderly end, `rst` a reset, as from a crashed machine or a load balancer. */
export type CutKind = 'fin' | 'rst'

/** What a {@link Treatment} can do with the bytes it is given. */
export interface Outlet {
  /**
   * Sends bytes on, behind everything that was sent on before. Calls `written` when the kernel has taken them; never if
   * they are lost on the way there.
   */
  forward(bytes: Buffer, written?: () => void): void
  /** Cuts the whole link, after what was sent on so far. */
  cut(kind: CutKind): void
  /** Ends the treatment: from the next piece on, everything passes. */
  pass(): void
}

/**
 * What is done to the bytes of one direction of a link: this is where faults are made. A new kind of fault is a new
 * treatment; how bytes get in and out, and where frames begin and end, is none of its business.
 */
export interface Treatment {
  /** Given every piece in order; what it does not forward is lost. */
  treat(piece: Piece, outlet: Outlet): void
  /** It will be given no more: another treatment took its place, or the link is gone. */
  dropped?(): void
}

/** Everything goes through. */
export const pass: Treatment = {
  treat({ bytes }, outlet) {
    outlet.forward(bytes)
  },
}

/** Everything vanishes. */
export const swallow: Treatment = {
  treat() {},
}

/**
 * Changes one byte in the middle of the next frame that carries data; then everything passes. A frame of which some
 * bytes are through already is let alone. TLS finds out by the record's authentication tag.
 */
export function corruptNext(settled: (corrupted: boolean) => void): Treatment {
  return onNextFrame(settled, (piece, position, outlet) => {
    const bytes = Buffer.from(piece.bytes)
    bytes.writeUInt8(bytes.readUInt8(position) ^ 0xff, position)
    outlet.forward(bytes)
    outlet.pass()
  })
}

/** Lets the first half of the next frame that carries data through, and then cuts the link. */
export function cutInsideNext(kind: CutKind, settled: (cut: boolean) => void): Treatment {
  return onNextFrame(settled, (piece, position, outlet) => {
    outlet.forward(piece.bytes.subarray(0, position))
    outlet.cut(kind)
  })
}

/** Passes everything until the middle of the body of the next frame that carries data, and acts there. */
function onNextFrame(
  settled: (acted: boolean) => void,
  act: (piece: Piece, position: number, outlet: Outlet) => void,
): Treatment {
  let next: Frame | undefined
  let acted = false
  return {
    treat(piece, outlet) {
      if (piece.offset === 0 && carriesData(piece.frame)) next ??= piece.frame
      const position = middle(piece.frame) - piece.offset
      if (piece.frame !== next || position >= piece.bytes.length) return outlet.forward(piece.bytes)
      acted = true
      act(piece, position, outlet)
      settled(true)
    },
    dropped() {
      if (!acted) settled(false)
    },
  }
}

function middle({ headerLength, length }: Frame): number {
  return headerLength + Math.floor((length - headerLength) / 2)
}
