import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/**
 * Called in the folder of a package after its build: Node gives `import` and `require` the same copy, so that a pool, its classes
 * and its scopes are known to both. What is imported leads to the CommonJS file, in Node and in TypeScript. Bundlers take the ES
 * module.
 */
const ENTRY = './dist/node.mjs'
const TYPES = './dist/index.d.mts'

const file = join(process.cwd(), 'package.json')
const { exports } = JSON.parse(await readFile(file, 'utf8'))
if (exports['.'].import.default === ENTRY) {
  const names = Object.keys(createRequire(file)('./dist/index.cjs')).toSorted()
  await writeFile(ENTRY, `export {\n  ${names.join(',\n  ')},\n} from './index.cjs'\n`)
  await writeFile(TYPES, `export * from './index.cjs'\n`)
}
