import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../../..')
const FOLDERS = ['packages', 'test', 'storm', 'bench', 'examples', 'docs']
const LITERAL = /'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\$]|\\.)*)`/gs
/** What a text of SQL begins with; prose that does so is refused by PostgreSQL, and falls out later. */
const SQL =
  /^(?:\s|--.*\n|\/\*.*?\*\/|\(|;)*(?:select|values|table|with|insert|update|delete|merge|begin|start|commit|end|rollback|abort|savepoint|release|prepare|execute|deallocate|declare|fetch|move|close|copy|create|alter|drop|truncate|set|reset|show|discard|listen|unlisten|notify|lock|do|call|explain|vacuum|analyze|grant|revoke|comment|checkpoint|reindex|cluster)\b/is

/** The texts of SQL that stand as literals in the sources, tests and documents of this repository, each once. */
export function textsOfThisRepository(): string[] {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(?:ts|md)$/.test(file) && !/(?:^|\/)(?:dist|node_modules|coverage)\//.test(file))
      .map((file) => readFileSync(join(ROOT, folder, file), 'utf8')),
  )
  return [...new Set(files.flatMap(literalsIn).filter((text) => SQL.test(text)))].toSorted()
}

function literalsIn(source: string): string[] {
  return [...source.matchAll(LITERAL)].map(([, single, double, template]) =>
    unescaped(single ?? double ?? template ?? ''),
  )
}

function unescaped(literal: string): string {
  return literal.replaceAll(
    /\\(.)/gs,
    (_, character: string) => ({ n: '\n', r: '\r', t: '\t' })[character] ?? character,
  )
}
