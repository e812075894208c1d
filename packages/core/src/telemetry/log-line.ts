import type { LogFields, Logger, StructuredLogger } from '../options/pool-options.ts'
import { propertyOf } from '../thrown.ts'
import type { PoolEvent } from './events.ts'
import { prefixOf } from './log-text.ts'

/** Writes a line about a pool. `code` is that of a warning; `detail` comes on the lines below. */
export type WriteLine = (
  level: 'debug' | 'info' | 'warn' | 'error',
  line: { readonly text: string; readonly code?: string; readonly detail?: string | undefined },
  event: PoolEvent,
) => void

/** Writes lines as the logger takes them: as a text, or as fields and a text. */
export function lineWriter(logger: Logger | StructuredLogger, pool: string): WriteLine {
  if (isStructured(logger))
    return (level, { text, code, detail }, event) =>
      logger[level]({ pool, ...fieldsOf(event), ...(code && { code }), ...(detail && { detail }) }, text)
  return (level, { text, code, detail }) =>
    logger[level](`${prefixOf(pool)}${code ? `${code}: ` : ''}${detail ? `${text}\n${detail}` : text}`)
}

/** Whether it says so, or is one of pino's. */
function isStructured(logger: Logger | StructuredLogger): logger is StructuredLogger {
  if (propertyOf(logger, 'structured') === true) return true
  return typeof propertyOf(logger, 'bindings') === 'function' && typeof propertyOf(logger, 'child') === 'function'
}

function fieldsOf(event: PoolEvent): Omit<LogFields, 'pool'> {
  if (!('connection' in event)) return { event: event.type }
  const { id, backendPid } = event.connection
  return { event: event.type, connection: id, backend: backendPid }
}
