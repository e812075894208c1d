import { htmlEscape } from 'escape-goat'

/** Text that is already HTML. */
export interface Markup {
  readonly text: string
}

/** Marks a string as HTML. Only for strings that the storm itself writes. */
export function markup(text: string): Markup {
  return { text }
}

type Part = string | number | Markup | readonly Markup[]

/** A template of HTML that escapes every part that isn't HTML already. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { text: String.raw({ raw: strings }, ...parts.map(render)) }
}

function render(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') return htmlEscape(String(part))
  return 'text' in part ? part.text : part.map(({ text }) => text).join('')
}
