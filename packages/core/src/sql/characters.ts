/** The classes of characters that the lexer tells apart. */
export const SPACE = 1
export const LETTER = 2
export const DIGIT = 4
export const OPERATOR = 8

const TAB = 9
const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const DOLLAR = 36
const CLASSES = classes()

/** The class of a character, 0 for one that stands for itself. Beyond ASCII all are letters, behind the end there is none. */
export function classOf(code: number): number {
  return code < 128 ? (CLASSES[code] as number) : code >= 128 ? LETTER : 0
}

/** Whether a name may go on with it. */
export function isOfWord(code: number): boolean {
  return isOfTag(code) || code === DOLLAR
}

/** Whether the tag of a dollar quote may go on with it. */
export function isOfTag(code: number): boolean {
  return (classOf(code) & (LETTER | DIGIT)) !== 0
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
  fill('~!@#^&|`?+-*/%<>=', OPERATOR)
  return table
}
