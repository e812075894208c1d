import { engineOf, type Pool } from './pool.ts'
import type { MeasureListener } from './telemetry/counts.ts'
import { warnOfListener } from './telemetry/events.ts'

/**
 * For metrics: tells this listener how long each caller has waited for a connection, how long each lease has lasted, and how long
 * each connection took to open. Unlike a listener for `acquire` it keeps no read from sharing a connection. Returns a function that
 * ends it. A listener that throws is warned of, and nothing else comes of it.
 */
export function measure(pool: Pool, listener: MeasureListener): () => void {
  return engineOf(pool).publisher.counts.measure((measured, millis) => {
    try {
      listener(measured, millis)
    } catch (error) {
      warnOfListener('A listener of measure() threw', error)
    }
  })
}
