/** The classes of characters that the lexer distinguishes. */
export const SPACE = 1
export const LETTER = 2
export const DIGIT = 4
export const OPERATOR = 8
const DOLLAR_CLASS = 16

/** Symbols that structure a text. */
export const OPENING = 40
export const CLOSING = 41
export const DOT = 46
export const SEMICOLON = 59

/** Characters that begin or end a quote or a comment. */
export const DOUBLE_QUOTE = 34
export const DOLLAR = 36
export const QUOTE = 39
export const STAR = 42
export const MINUS = 45
export const SLASH = 47
export const BACKSLASH = 92

const TAB = 9
const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const UNDERSCORE = 95
const CLASSES = classes()

/** The class of a character; 0 if it stands for itself. Beyond ASCII every character is a letter. */
export function classOf(code: number): number {
  if (code >= 128) return LETTER
  return code < 0 ? 0 : (CLASSES[code] as number)
}

/** The code of a character; -1 past the end. `charCodeAt` answers NaN there, and V8 would then treat all codes as fractions. */
export function codeAt(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : -1
}

/** Whether an unquoted name may continue with this character. */
export function isOfWord(code: number): boolean {
  return (classOf(code) & (LETTER | DIGIT | DOLLAR_CLASS)) !== 0
}

/** Whether the tag of a dollar quote may continue with this character. */
export function isOfTag(code: number): boolean {
  return (classOf(code) & (LETTER | DIGIT)) !== 0
}

/** Whether a number may continue with this character. */
export function isOfNumber(code: number): boolean {
  return classOf(code) === DIGIT || code === DOT || code === UNDERSCORE
}

/** Whether a line comment ends here. */
function isLineEnd(code: number): boolean {
  return code === LINE_FEED || code === CARRIAGE_RETURN
}

/** Converts an ASCII capital to lower case; leaves any other character as it is. */
export function lowered(code: number): number {
  return code >= 65 && code <= 90 ? code + 32 : code
}

/** A word in lower case, as the server folds it: only ASCII letters have a lower case. */
export function lowerCase(word: string): string {
  return word.replaceAll(/[A-Z]+/g, (capitals) => capitals.toLowerCase())
}

/** The class of each ASCII character. Brackets and other symbols have none. */
function classes(): Uint8Array {
  const table = new Uint8Array(128)
  for (let code = TAB; code <= CARRIAGE_RETURN; code++) table[code] = SPACE
  const fill = (characters: string, kind: number): void => {
    for (const character of characters) table[character.charCodeAt(0)] = kind
  }
  fill(' ', SPACE)
  fill('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_', LETTER)
  fill('0123456789', DIGIT)
  fill('$', DOLLAR_CLASS)
  fill('~!@#^&|`?+-*/%<>=', OPERATOR)
  return table
}

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
