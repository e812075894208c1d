import { SETTINGS } from '../settings.ts'
import type { Fault } from './fault.ts'

const BLOCKED_MILLIS = SETTINGS.queryTimeoutMillis + 500

/** SCENARIOS A6. */
export const blockedLoop: Fault = {
  name: 'blocked-loop',
  title: 'blocked event loop',
  story: `The service computes for ${BLOCKED_MILLIS / 1000} s without a pause, longer than query_timeout where there is one, while the answers are unread in its sockets.`,
  needs: 'connection',
  strike: ({ victim, act }) => act('spares', () => victim.block(BLOCKED_MILLIS)),
}
