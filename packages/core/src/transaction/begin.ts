import type { TransactionModes } from './transaction-options.ts'

/** The statement that begins a transaction in these modes: one round trip, whatever they are. */
export function beginStatement({ isolationLevel, accessMode, deferrable }: TransactionModes): string {
  const modes: string[] = []
  if (isolationLevel !== undefined) modes.push(`ISOLATION LEVEL ${isolationLevel}`)
  if (accessMode !== undefined) modes.push(accessMode)
  if (deferrable !== undefined) modes.push(deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE')
  return `BEGIN ${modes.join(', ')}`.trimEnd().toUpperCase()
}
