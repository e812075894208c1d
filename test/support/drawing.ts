/** Colours that people who see colours differently can tell apart, on white. */
export const COLOURS = {
  success: '#0072b2',
  error: '#d55e00',
  strike: '#f3dba9',
  text: '#1f2933',
  faint: '#5f6b7a',
  line: '#d9dee4',
} as const

/** An SVG of this size. It has a ground of its own, so that it is readable on light pages and on dark ones. */
export function picture(
  size: { readonly width: number; readonly height: number },
  title: string,
  body: string,
): string {
  const { width, height } = size
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" role="img">
<title>${escaped(title)}</title>
<rect width="${width}" height="${height}" rx="6" fill="#ffffff"/>
${body}
</svg>
`
}

/** To a tenth: nobody sees less. */
export function round(value: number): number {
  return Math.round(value * 10) / 10
}

/** A text as SVG takes it. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
