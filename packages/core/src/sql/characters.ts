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
export function isLineEnd(code: number): boolean {
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
