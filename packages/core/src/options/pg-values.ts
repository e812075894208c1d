// What nothing means: pg's default, or never.
const PG_NUMBERS = {
  max: undefined,
  min: undefined,
  maxUses: undefined,
  maxLifetimeSeconds: undefined,
  connectionTimeoutMillis: undefined,
  idleTimeoutMillis: 0,
  query_timeout: 0,
} as const
const PG_OTHERS = ['allowExitOnIdle', 'Client', 'onConnect', 'verify', 'log'] as const

/**
 * Reads pg's own options as pg does: `poolSize` is `max`, a number may be a text (`process.env` knows nothing else), and
 * null, or false for a number, is as good as nothing. What isn't understood stays as it is, to be refused.
 */
export function asPgReads<Given extends object>(given: Given): Given {
  const read = new Map<string, unknown>(Object.entries(given))
  if (!read.has('max')) read.set('max', read.get('poolSize'))
  for (const [key, nothing] of Object.entries(PG_NUMBERS)) read.set(key, asNumber(read.get(key), nothing))
  for (const key of PG_OTHERS) if (read.get(key) === null) read.delete(key)
  return Object.fromEntries([...read].filter(([, value]) => value !== undefined)) as Given
}

function asNumber(value: unknown, nothing: 0 | undefined): unknown {
  if (value === null || value === false) return nothing
  const isNumeric = typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value))
  return isNumeric ? Number(value) : value
}
