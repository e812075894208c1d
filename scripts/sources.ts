import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, sep } from 'node:path'

/** The folder whose parts `docs/architecture.md` describes. */
export const CORE: string = join(import.meta.dirname, '../packages/core/src')

/** One import or re-export. */
export interface Import {
  readonly from: string
  /** A path from the root of the sources, which ends in `.ts`; or the name of a package. */
  readonly target: string
  /** Whether it vanishes when the code is compiled. */
  readonly isType: boolean
}

/** The TypeScript files below a folder, by their path in it, with their text. */
export function readSources(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.split(sep).join('/'))
    .toSorted()
  return new Map(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]))
}

/** Every import and re-export in these sources. */
export function importsIn(sources: ReadonlyMap<string, string>): readonly Import[] {
  return [...sources].flatMap(([from, text]) => {
    const statements = text.matchAll(/^(?:import|export)\s+(?:([\w\s,*{}]+?)\s+from\s+)?'([^']+)'$/gm)
    return [...statements].map(([, clause = '', specifier = '']) => ({
      from,
      target: specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : specifier,
      isType: clause.startsWith('type ') || hasOnlyTypes(clause),
    }))
  })
}

/** `{ type A, type B }` vanishes like `type { A, B }`. */
function hasOnlyTypes(clause: string): boolean {
  const names = /^\s*\{([^}]*)\}\s*$/
    .exec(clause)?.[1]
    ?.split(',')
    .map((name) => name.trim())
  return names?.filter(Boolean).every((name) => name.startsWith('type ')) ?? false
}

/** Whether this import stays within the package. */
export function isOurs({ target }: Import): boolean {
  return target.endsWith('.ts')
}

/** The folder of a file, or the name of a file at the top. */
export function partOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] as string) : file.replace(/\.ts$/, '')
}
