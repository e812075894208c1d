/**
 * ```
 * opening ─▶ idle ⇄ checking         a new connection, an idle or a proven one ─▶ leased
 * leased ─▶ resetting ─▶ idle        straight to the next: resetting, leased ─▶ leased; a clean one: leased ─▶ idle
 * each of these five ─▶ closing ─▶ closed
 * ```
 */
export type ConnectionState = 'opening' | 'idle' | 'checking' | 'leased' | 'resetting' | 'closing' | 'closed'

const MOVES: Record<ConnectionState, readonly ConnectionState[]> = {
  opening: ['idle', 'leased', 'closing'],
  idle: ['checking', 'leased', 'closing'],
  checking: ['idle', 'leased', 'closing'],
  leased: ['idle', 'leased', 'resetting', 'closing'],
  resetting: ['idle', 'leased', 'closing'],
  closing: ['closed'],
  closed: [],
}

/** Whether a connection may go from one state to the other. */
export function mayMove(from: ConnectionState, to: ConnectionState): boolean {
  return MOVES[from].includes(to)
}
