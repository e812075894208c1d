import {
  BACKSLASH,
  classOf,
  codeAt,
  continuationOf,
  DIGIT,
  DOLLAR,
  DOT,
  DOUBLE_QUOTE,
  endOfBits,
  endOfBlockComment,
  endOfDoubled,
  endOfEscaped,
  endOfLineComment,
  isOfNumber,
  isOfTag,
  isOfWord,
  LETTER,
  lowered,
  MINUS,
  OPERATOR,
  QUOTE,
  SLASH,
  SPACE,
  STAR,
  UNCLOSED,
} from './quotes-and-comments.ts'

/**
 * The type of a token:
 * - `word`: a keyword or an unquoted name;
 * - `name`: a name in double quotes;
 * - `string`: a literal in any kind of quotes, dollar quotes included;
 * - `number`, and `parameter` (`$1`);
 * - `operator`: a run of operator characters;
 * - `symbol`: any other character, `::` and `:=`;
 * - `end`: the end of the text.
 */
export type TokenType = 'word' | 'name' | 'string' | 'number' | 'parameter' | 'operator' | 'symbol' | 'end'

/** What never closes. The server then refuses the whole text, if it reads the text in the same way. */
export type Unclosed = 'quote' | 'comment'

const AMPERSAND = 38
const PLUS = 43
const COLON = 58
const EQUALS = 61
const LOWER_B = 98
const LOWER_E = 101
const LOWER_U = 117
const LOWER_X = 120

/**
 * Reads SQL token by token, as PostgreSQL's own lexer does (src/backend/parser/scan.l). It never goes back further than one
 * token, so its time is linear in the length of the text. It keeps nothing but its position.
 */
export class Lexer {
  readonly text: string
  readonly #escapes: boolean
  type: TokenType = 'end'
  /** The code of the current token if it is a symbol of one character; else 0. */
  symbol = 0
  /** Where the current token begins. */
  start = 0
  /** Where the current token ends. */
  end = 0
  /** Where the quote or comment begins that never closes. */
  unclosedAt = 0
  unclosed: Unclosed | undefined = undefined
  /** Whether a plain literal has a backslash: with the other setting of `standard_conforming_strings` it may end elsewhere. */
  hasBackslash = false
  /** Whether the text has a NUL character: the protocol ends the text there. */
  hasNul = false

  /** `escapes`: a backslash in a plain literal escapes a quote, as with `standard_conforming_strings = off`. */
  constructor(text: string, escapes: boolean) {
    this.text = text
    this.#escapes = escapes
  }

  /** Moves to the next token. Returns its type. */
  next(): TokenType {
    this.#skipSpace()
    this.start = this.end
    this.symbol = 0
    this.type = this.unclosed === undefined && this.end < this.text.length ? this.#token() : 'end'
    return this.type
  }

  /** The current token, as it is written. */
  get written(): string {
    return this.text.slice(this.start, this.end)
  }

  /** Whether the current token is this word, which is given in lower case. Keywords are ASCII. */
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
    if (code === DOLLAR) return this.#parameterOrDollarQuote()
    if (code === DOT && classOf(codeAt(text, start + 1)) === DIGIT) return this.#number()
    if (kind === OPERATOR) return this.#operator()
    if (code === 0) this.hasNul = true
    const next = codeAt(text, start + 1)
    const isPair = code === COLON && (next === COLON || next === EQUALS)
    this.end = start + (isPair ? 2 : 1)
    if (!isPair) this.symbol = code
    return 'symbol'
  }

  /** Skips spaces and comments. */
  #skipSpace(): void {
    const { text } = this
    const { length } = text
    let at = this.end
    while (at < length) {
      const code = text.charCodeAt(at)
      if (classOf(code) === SPACE) at++
      else if (code === MINUS && codeAt(text, at + 1) === MINUS) at = endOfLineComment(text, at)
      else if (code === SLASH && codeAt(text, at + 1) === STAR)
        at = this.#closed(endOfBlockComment(text, at), 'comment', at)
      else break
    }
    this.end = at
  }

  /** The end of a quote or comment; the end of the text if it never closes, which is noted. */
  #closed(end: number, what: Unclosed, from: number): number {
    if (end !== UNCLOSED) return end
    this.unclosed = what
    this.unclosedAt = from
    return this.text.length
  }

  /** A word; or, right before a quote, the prefix of a literal or name with rules of its own (`e'…'`, `u&"…"`). */
  #wordOrPrefix(code: number): TokenType {
    const { text, start } = this
    const next = codeAt(text, start + 1)
    const letter = lowered(code)
    if (next === QUOTE) {
      if (letter === LOWER_E) return this.#literal(start + 1, endOfEscaped)
      if (letter === LOWER_B || letter === LOWER_X) return this.#literal(start + 1, endOfBits)
    }
    if (letter === LOWER_U && next === AMPERSAND) {
      const quote = codeAt(text, start + 2)
      if (quote === QUOTE) return this.#literal(start + 2, endOfUnicode)
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
    this.end = this.#closed(endOfDoubled(this.text, quote, DOUBLE_QUOTE), 'quote', quote)
    return 'name'
  }

  /** A literal and all its continuations, which follow the same rule for their end. */
  #literal(quote: number, endOf: (text: string, quote: number) => number): TokenType {
    let from: number | undefined = quote
    while (from !== undefined) {
      this.end = this.#closed(endOf.call(this, this.text, from), 'quote', from)
      from = this.unclosed ? undefined : continuationOf(this.text, this.end)
    }
    return 'string'
  }

  /** The end of a literal without a prefix. The setting decides whether a backslash escapes, but only for this kind. */
  #endOfPlain(text: string, quote: number): number {
    const end = this.#escapes ? endOfEscaped(text, quote) : endOfDoubled(text, quote, QUOTE)
    this.hasBackslash ||= hasBackslash(text, quote, end === UNCLOSED ? text.length : end)
    return end
  }

  #parameterOrDollarQuote(): TokenType {
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
    this.end = this.#closed(close === -1 ? UNCLOSED : close + tag.length, 'quote', start)
    return 'string'
  }
}

function endOfUnicode(text: string, quote: number): number {
  return endOfDoubled(text, quote, QUOTE)
}

function hasBackslash(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (text.charCodeAt(at) === BACKSLASH) return true
  return false
}
