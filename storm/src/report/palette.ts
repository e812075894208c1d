/** Colours that everyone can tell apart (Okabe and Ito), each with one meaning in the whole page. */
export const PALETTE = {
  success: '#0072b2',
  error: '#d55e00',
  latency: '#333333',
  strike: 'rgba(230, 159, 0, 0.28)',
  phase: 'rgba(0, 0, 0, 0.035)',
  text: '#1f2933',
  faint: '#7b8794',
  line: '#d9dee4',
} as const
