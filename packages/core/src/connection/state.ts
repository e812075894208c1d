/**
 * ```
 * opening ─▶ idle ⇄ checking         opening, idle, checking ─▶ leased
 * leased ─▶ resetting ─▶ idle        leased, resetting ─▶ leased (by the next caller); leased ─▶ idle (it was clean)
 * each of these five ─▶ closing ─▶ closed
 * ```
 */
export type ConnectionState = 'opening' | 'idle' | 'checking' | 'leased' | 'resetting' | 'closing' | 'closed'

const MOVES: Record<ConnectionState, { readonly [to in ConnectionState]?: true }> = {
  opening: { idle: true, leased: true, closing: true },
  idle: { checking: true, leased: true, closing: true },
  checking: { idle: true, leased: true, closing: true },
  leased: { idle: true, leased: true, resetting: true, closing: true },
  resetting: { idle: true, leased: true, closing: true },
  closing: { closed: true },
  closed: {},
}

/** Whether a connection may go from one state to the other. */
export function mayMove(from: ConnectionState, to: ConnectionState): boolean {
  return MOVES[from][to] === true
}
