import { createInterface } from 'node:readline'
import type { Orm } from './selection.ts'

const ORMS: readonly { readonly orm: Orm; readonly title: string }[] = [
  { orm: 'drizzle', title: 'Drizzle' },
  { orm: 'kysely', title: 'Kysely' },
  { orm: 'typeorm', title: 'TypeORM' },
]
const PATIENCE_MILLIS = 20_000
const USUAL: Orm = 'drizzle'

/** Asks which ORM runs beside pg. Takes Drizzle when there is no answer in time. */
export async function askForOrm(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
  patienceMillis: number = PATIENCE_MILLIS,
): Promise<Orm> {
  // No terminal of readline's own: it would take Ctrl-C for itself.
  const lines = createInterface({ input, terminal: false })
  const timer = setTimeout(() => lines.close(), patienceMillis)
  try {
    const choices = ORMS.map(({ title }, index) => `${index + 1} ${title}`).join(', ')
    output.write(`Which ORM runs beside pg? ${choices} (Enter: Drizzle) `)
    for await (const line of lines) {
      const orm = ormNamed(line)
      if (orm) return orm
      output.write('Type 1, 2 or 3: ')
    }
    output.write('\nNo answer, so it is Drizzle.\n')
    return USUAL
  } finally {
    clearTimeout(timer)
    lines.close()
  }
}

function ormNamed(answer: string): Orm | undefined {
  const given = answer.trim().toLowerCase()
  if (given === '') return USUAL
  return ORMS.find(({ orm }, index) => given === String(index + 1) || orm.startsWith(given))?.orm
}
