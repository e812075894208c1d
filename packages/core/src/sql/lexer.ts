import {
  classOf,
  codeAt,
  DIGIT,
  DOT,
  isLineEnd,
  isOfNumber,
  isOfTag,
  isOfWord,
  LETTER,
  lowered,
  OPERATOR,
  SPACE,
} from './characters.ts'

/**
 * What a token is:
 * - `word`: a keyword or a name without quotes;
 * - `name`: a name in double quotes;
 * - `string`: a literal in quotes of any kind, in dollar quotes too;
 * - `number`, and `parameter` (`$1`);
 * - `operator`: a run of operator characters;
 * - `symbol`: any other character, `::` and `:=`;
 * - `end`: there is nothing more.
 */
export type TokenType = 'word' | 'name' | 'string' | 'number' | 'parameter' | 'operator' | 'symbol' | 'end'

/** A quote or a comment that never closes: the server refuses the whole text then, if it reads it in the same way. */
export type Unclosed = 'quote' | 'comment'

const DOUBLE_QUOTE = 34
const DOLLAR = 36
const AMPERSAND = 38
const QUOTE = 39
const STAR = 42
const PLUS = 43
const MINUS = 45
const SLASH = 47
const COLON = 58
const EQUALS = 61
const BACKSLASH = 92
const LOWER_B = 98
const LOWER_E = 101
const LOWER_U = 117
const LOWER_X = 120

/**
 * Reads a text of SQL token by token, as PostgreSQL's own lexer does (src/backend/parser/scan.l). It never goes back
 * further than one token, so the time is linear in the length of the text, and it keeps nothing but its position.
 */
export class Lexer {
  readonly text: string
  readonly #escapes: boolean
  type: TokenType = 'end'
  /** The code of the present token, if that is a symbol of one character; else 0. */
  symbol = 0
  /** Where the present token begins. */
  start = 0
  /** Where the next one may begin. */
  end = 0
  /** Where the quote or comment begins that never closes. */
  unclosedAt = 0
  unclosed: Unclosed | undefined = undefined
  /** Whether a plain literal had a backslash: with the other setting of `standard_conforming_strings` it may end elsewhere. */
  hasBackslash = false
  /** Whether there was a NUL character: the protocol ends the text there. */
  hasNul = false

  /** `escapes` says that a backslash in a plain literal escapes a quote: `standard_conforming_strings` is off. */
  constructor(text: string, escapes: boolean) {
    this.text = text
    this.#escapes = escapes
  }

  /** Goes on to the next token, and tells its type. */
  next(): TokenType {
    this.#skipSpace()
    this.start = this.end
    this.symbol = 0
    this.type = this.unclosed === undefined && this.end < this.text.length ? this.#token() : 'end'
    return this.type
  }

  /** The present token, as it is written. */
  get written(): string {
    return this.text.slice(this.start, this.end)
  }

  /** Whether the present token is this word, which is given in lower case. Keywords have no capitals beyond ASCII. */
  is(word: string): boolean {
    return this.type === 'word' && this.end - this.start === word.length && this.#matches(word)
  }

  #matches(word: string): boolean {
    const { text, start } = this
    for (let index = 0; index < word.length; index++)
      if (lowered(text.charCodeAt(start + index)) !== word.charCodeAt(index)) return false
    return true
  }

  #token(): TokenType {
    const { text, start } = this
    const code = text.charCodeAt(start)
    const kind = classOf(code)
    if (kind === LETTER) return this.#wordOrPrefix(code)
    if (kind === DIGIT) return this.#number()
    if (code === QUOTE) return this.#literal(start, this.#endOfPlain)
    if (code === DOUBLE_QUOTE) return this.#name(start)
    if (code === DOLLAR) return this.#dollar()
    if (code === DOT && classOf(codeAt(text, start + 1)) === DIGIT) return this.#number()
    if (kind === OPERATOR) return this.#operator()
    if (code === 0) this.hasNul = true
    const next = codeAt(text, start + 1)
    const isPair = code === COLON && (next === COLON || next === EQUALS)
    this.end = start + (isPair ? 2 : 1)
    if (!isPair) this.symbol = code
    return 'symbol'
  }

  /** Spaces and comments. */
  #skipSpace(): void {
    const { text } = this
    const { length } = text
    let at = this.end
    while (at < length) {
      const code = text.charCodeAt(at)
      if (classOf(code) === SPACE) at++
      else if (code === MINUS && codeAt(text, at + 1) === MINUS) at = this.#endOfLine(at)
      else if (code === SLASH && codeAt(text, at + 1) === STAR) at = this.#endOfComment(at)
      else break
    }
    this.end = at
  }

  /** A line ends whichever way lines end. */
  #endOfLine(from: number): number {
    const { text } = this
    let at = from
    while (at < text.length && !isLineEnd(codeAt(text, at))) at++
    return at
  }

  /** Comments nest. */
  #endOfComment(from: number): number {
    const { text } = this
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
    return this.#leaveOpen('comment', from)
  }

  #leaveOpen(unclosed: Unclosed, from: number): number {
    this.unclosed = unclosed
    this.unclosedAt = from
    return this.text.length
  }

  /** A word; or, where it stands right before a quote, the sign of a literal that isn't a plain one. */
  #wordOrPrefix(code: number): TokenType {
    const { text, start } = this
    const next = codeAt(text, start + 1)
    const letter = lowered(code)
    if (next === QUOTE) {
      if (letter === LOWER_E) return this.#literal(start + 1, this.#endOfEscaped)
      if (letter === LOWER_B || letter === LOWER_X) return this.#literal(start + 1, this.#endOfBits)
    }
    if (letter === LOWER_U && next === AMPERSAND) {
      const quote = codeAt(text, start + 2)
      if (quote === QUOTE) return this.#literal(start + 2, this.#endOfUnicode)
      if (quote === DOUBLE_QUOTE) return this.#name(start + 2)
    }
    let at = start + 1
    while (isOfWord(codeAt(text, at))) at++
    this.end = at
    return 'word'
  }

  #number(): TokenType {
    const { text, start } = this
    let at = start
    while (isOfNumber(codeAt(text, at))) at++
    if (lowered(codeAt(text, at)) === LOWER_E) {
      const sign = codeAt(text, at + 1)
      const digits = sign === PLUS || sign === MINUS ? at + 2 : at + 1
      if (classOf(codeAt(text, digits)) === DIGIT) {
        at = digits
        while (isOfNumber(codeAt(text, at))) at++
      }
    }
    this.end = at
    return 'number'
  }

  /** An operator ends where a comment begins. */
  #operator(): TokenType {
    const { text, start } = this
    let at = start + 1
    while (classOf(codeAt(text, at)) === OPERATOR) {
      const code = text.charCodeAt(at)
      const next = codeAt(text, at + 1)
      if ((code === MINUS && next === MINUS) || (code === SLASH && next === STAR)) break
      at++
    }
    this.end = at
    return 'operator'
  }

  #name(quote: number): TokenType {
    this.end = this.#endOfDoubled(quote, DOUBLE_QUOTE)
    return 'name'
  }

  /** A literal goes on behind its quote, by the same rules, where another quote follows on a later line. */
  #literal(quote: number, endOf: (quote: number) => number): TokenType {
    let from: number | undefined = quote
    while (from !== undefined) {
      this.end = endOf.call(this, from)
      from = this.unclosed ? undefined : this.#continuation()
    }
    return 'string'
  }

  /** One without a sign before its quote: of this alone the setting decides whether a backslash escapes. */
  #endOfPlain(quote: number): number {
    const { text } = this
    const { length } = text
    for (let at = quote + 1; at < length; at++) {
      const code = text.charCodeAt(at)
      if (code === BACKSLASH) {
        this.hasBackslash = true
        if (this.#escapes) at++
      } else if (code === QUOTE) {
        if (codeAt(text, at + 1) !== QUOTE) return at + 1
        at++
      }
    }
    return this.#leaveOpen('quote', quote)
  }

  #endOfUnicode(quote: number): number {
    return this.#endOfDoubled(quote, QUOTE)
  }

  /** Ends with the first quote that isn't doubled. */
  #endOfDoubled(from: number, quote: number): number {
    const { text } = this
    const { length } = text
    for (let at = from + 1; at < length; at++) {
      if (codeAt(text, at) !== quote) continue
      if (codeAt(text, at + 1) !== quote) return at + 1
      at++
    }
    return this.#leaveOpen('quote', from)
  }

  /** Bits and bytes, as in `b'01'`: no quote is doubled in them. */
  #endOfBits(quote: number): number {
    const close = this.text.indexOf("'", quote + 1)
    return close === -1 ? this.#leaveOpen('quote', quote) : close + 1
  }

  #endOfEscaped(quote: number): number {
    const { text } = this
    const { length } = text
    for (let at = quote + 1; at < length; at++) {
      const code = text.charCodeAt(at)
      if (code === BACKSLASH) at++
      else if (code === QUOTE) {
        if (codeAt(text, at + 1) !== QUOTE) return at + 1
        at++
      }
    }
    return this.#leaveOpen('quote', quote)
  }

  /** The quote by which the literal that ended here goes on, behind a line's end; line comments may stand between. */
  #continuation(): number | undefined {
    const { text } = this
    let hasLineEnd = false
    for (let at = this.end; at < text.length; ) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) return hasLineEnd ? at : undefined
      if (code === MINUS && codeAt(text, at + 1) === MINUS) at = this.#endOfLine(at)
      else if (classOf(code) === SPACE) {
        hasLineEnd ||= isLineEnd(code)
        at++
      } else return undefined
    }
    return undefined
  }

  /** A parameter, or a literal in dollar quotes. */
  #dollar(): TokenType {
    const { text, start } = this
    let at = start + 1
    if (classOf(codeAt(text, at)) === DIGIT) {
      while (classOf(codeAt(text, at)) === DIGIT) at++
      this.end = at
      return 'parameter'
    }
    if (classOf(codeAt(text, at)) === LETTER) while (isOfTag(codeAt(text, at))) at++
    if (codeAt(text, at) !== DOLLAR) {
      this.end = start + 1
      return 'symbol'
    }
    const tag = text.slice(start, at + 1)
    const close = text.indexOf(tag, at + 1)
    this.end = close === -1 ? this.#leaveOpen('quote', start) : close + tag.length
    return 'string'
  }
}
