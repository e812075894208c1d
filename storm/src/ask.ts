import { createInterface } from 'node:readline'
import { ORMS, type Orm, USUAL_ORM } from './selection.ts'

const PATIENCE_MILLIS = 20_000

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
    return USUAL_ORM
  } finally {
    clearTimeout(timer)
    lines.close()
  }
}

function ormNamed(answer: string): Orm | undefined {
  const given = answer.trim().toLowerCase()
  if (given === '') return USUAL_ORM
  return ORMS.find(({ orm }, index) => given === String(index + 1) || orm.startsWith(given))?.orm
}
