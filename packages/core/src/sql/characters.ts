/** The classes of characters that the lexer tells apart. */
export const SPACE = 1
export const LETTER = 2
export const DIGIT = 4
export const OPERATOR = 8
const DOLLAR = 16

/** The symbols that make the structure of a text. */
export const OPENING = 40
export const CLOSING = 41
export const DOT = 46
export const SEMICOLON = 59

const TAB = 9
const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const UNDERSCORE = 95
const CLASSES = classes()

/** The class of a character, 0 for one that stands for itself. Beyond ASCII all are letters, behind the end there is none. */
export function classOf(code: number): number {
  if (code >= 128) return LETTER
  return code < 0 ? 0 : (CLASSES[code] as number)
}

/** The code of a character, -1 behind the end: with NaN, as `charCodeAt` has it, V8 would take all codes for fractions. */
export function codeAt(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : -1
}

/** Whether a name may go on with it. */
export function isOfWord(code: number): boolean {
  return (classOf(code) & (LETTER | DIGIT | DOLLAR)) !== 0
}

/** Whether the tag of a dollar quote may go on with it. */
export function isOfTag(code: number): boolean {
  return (classOf(code) & (LETTER | DIGIT)) !== 0
}

/** Whether a number may go on with it. */
export function isOfNumber(code: number): boolean {
  return classOf(code) === DIGIT || code === DOT || code === UNDERSCORE
}

/** Whether a line comment ends here. */
export function isLineEnd(code: number): boolean {
  return code === LINE_FEED || code === CARRIAGE_RETURN
}

/** A capital letter of ASCII as a small one; any other character as it is. */
export function lowered(code: number): number {
  return code >= 65 && code <= 90 ? code + 32 : code
}

/** A word in lower case, as the server takes it: only letters of ASCII have a lower case. */
export function lowerCase(word: string): string {
  return word.replaceAll(/[A-Z]+/g, (capitals) => capitals.toLowerCase())
}

/** The class of each character of ASCII; none of them for brackets and what else stands for itself. */
function classes(): Uint8Array {
  const table = new Uint8Array(128)
  for (let code = TAB; code <= CARRIAGE_RETURN; code++) table[code] = SPACE
  const fill = (characters: string, kind: number): void => {
    for (const character of characters) table[character.charCodeAt(0)] = kind
  }
  fill(' ', SPACE)
  fill('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_', LETTER)
  fill('0123456789', DIGIT)
  fill('$', DOLLAR)
  fill('~!@#^&|`?+-*/%<>=', OPERATOR)
  return table
}
