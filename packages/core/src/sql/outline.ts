import { Lexer } from './lexer.ts'

const LONGEST = 120

/**
 * A statement for people to recognize: without literals, numbers and comments, which may be secret, on one line, and cut. What comes
 * after a literal whose end depends on a setting of the server is left out.
 */
export function outlineOf(text: string): string {
  const lexer = new Lexer(text, false)
  let outline = ''
  let end = 0
  while (lexer.next() !== 'end') {
    if (lexer.hasBackslash || lexer.unclosed || outline.length > LONGEST) return `${outline.slice(0, LONGEST)}…`
    const { type, start, written } = lexer
    if (end > 0 && start > end) outline += ' '
    outline += type === 'string' || type === 'number' ? '?' : written
    end = lexer.end
  }
  return outline.length > LONGEST ? `${outline.slice(0, LONGEST)}…` : outline
}
