import { BACKSLASH, classOf, codeAt, isLineEnd, MINUS, QUOTE, SLASH, SPACE, STAR } from './characters.ts'

/** The answer of a function in this file if what it reads never closes. */
export const UNCLOSED = -1

/** Where the comment `-- …` at `from` ends: at a line feed, a carriage return, or the end of the text. */
export function endOfLineComment(text: string, from: number): number {
  let at = from
  while (at < text.length && !isLineEnd(codeAt(text, at))) at++
  return at
}

/** Where the comment at `from` ends, which begins with a slash and a star. Such comments nest. */
export function endOfBlockComment(text: string, from: number): number {
  const { length } = text
  let depth = 0
  for (let at = from; at < length; at++) {
    const code = text.charCodeAt(at)
    const next = codeAt(text, at + 1)
    if (code === SLASH && next === STAR) {
      depth++
      at++
    } else if (code === STAR && next === SLASH) {
      depth--
      at++
      if (depth === 0) return at + 1
    }
  }
  return UNCLOSED
}

/** Where a quote ends in which only a doubled quote stands for itself: `'it''s'`, `"a""b"`. */
export function endOfDoubled(text: string, from: number, quote: number): number {
  const { length } = text
  for (let at = from + 1; at < length; at++) {
    if (text.charCodeAt(at) !== quote) continue
    if (codeAt(text, at + 1) !== quote) return at + 1
    at++
  }
  return UNCLOSED
}

/** Where a literal ends in which a backslash escapes the next character, as in `e'it\'s'`. */
export function endOfEscaped(text: string, quote: number): number {
  const { length } = text
  for (let at = quote + 1; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code === BACKSLASH) at++
    else if (code === QUOTE) {
      if (codeAt(text, at + 1) !== QUOTE) return at + 1
      at++
    }
  }
  return UNCLOSED
}

/** Where a literal of bits or bytes ends, as in `b'01'`. No quote is doubled in it. */
export function endOfBits(text: string, quote: number): number {
  const close = text.indexOf("'", quote + 1)
  return close === -1 ? UNCLOSED : close + 1
}

/**
 * The quote at which the literal that ended at `end` continues; undefined if it doesn't. A literal continues where another
 * quote follows on a later line. Only spaces and line comments may stand between.
 */
export function continuationOf(text: string, end: number): number | undefined {
  let hasLineEnd = false
  for (let at = end; at < text.length; ) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) return hasLineEnd ? at : undefined
    if (code === MINUS && codeAt(text, at + 1) === MINUS) at = endOfLineComment(text, at)
    else if (classOf(code) === SPACE) {
      hasLineEnd ||= isLineEnd(code)
      at++
    } else return undefined
  }
  return undefined
}
