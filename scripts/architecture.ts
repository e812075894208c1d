import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CORE, type Import, importsIn, isOurs, partOf, readSources } from './sources.ts'

const FILE = join(import.meta.dirname, '../docs/architecture.md')
const BEGIN = '<!-- Drawn by `npm run architecture` from the imports. -->'
const END = '<!-- End of the drawing. -->'

/** The document with the picture that belongs to the imports as they are now. */
export function withPicture(document: string): string {
  const [before, rest] = document.split(BEGIN)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) throw new Error(`${FILE} has no place for the picture`)
  return `${before}${BEGIN}\n\n${picture(importsIn(readSources(CORE)))}\n\n${END}${after}`
}

/** The parts of the package, and an arrow from each part to those that it imports. */
function picture(imports: readonly Import[]): string {
  const graph = new Map<string, Set<string>>()
  for (const { from, target } of imports.filter(isOurs)) {
    const [importer, imported] = [partOf(from), partOf(target)]
    if (importer !== imported) graph.set(importer, (graph.get(importer) ?? new Set()).add(imported))
  }
  const arrows = [...graph].flatMap(([importer, all]) =>
    [...all].filter((imported) => !isImplied(importer, imported, graph)).map((imported) => [importer, imported]),
  )
  const lines = arrows.map(([importer, imported]) => `  ${importer} --> ${imported}`)
  return ['```mermaid', 'flowchart TD', ...lines.toSorted(), '```'].join('\n')
}

/** Whether other arrows lead there as well; then one more would only make the picture harder to read. */
function isImplied(importer: string, imported: string, graph: ReadonlyMap<string, ReadonlySet<string>>): boolean {
  const seen = new Set([importer])
  const reach = [...(graph.get(importer) ?? [])].filter((part) => part !== imported)
  for (let part = reach.pop(); part !== undefined; part = reach.pop()) {
    if (part === imported) return true
    if (seen.has(part)) continue
    seen.add(part)
    reach.push(...(graph.get(part) ?? []))
  }
  return false
}

if (import.meta.main) writeFileSync(FILE, withPicture(readFileSync(FILE, 'utf8')))
