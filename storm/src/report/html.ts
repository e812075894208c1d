/** Text that is HTML already. */
export interface Markup {
  readonly text: string
}

/** Takes a string for HTML; only for strings of our own. */
export function markup(text: string): Markup {
  return { text }
}

type Part = string | number | Markup | readonly Markup[]

/** A template of HTML in which everything that comes from elsewhere is escaped. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { text: String.raw({ raw: strings }, ...parts.map(render)) }
}

function render(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') return escapeHtml(String(part))
  return 'text' in part ? part.text : part.map(({ text }) => text).join('')
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
