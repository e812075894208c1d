import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/**
 * Loads the built core as a program of a user does, by `import` and by `require`, and runs its command: on whatever Node runs this.
 * The tests themselves need a newer Node than the package does.
 */
const root = join(import.meta.dirname, '..')
const required = createRequire(join(root, 'test/package.json'))('@holdfast/core')
const imported = await import('@holdfast/core')
if (required.Pool !== imported.Pool) throw new Error('import and require() give two copies of the core')

const pool = new imported.Pool({ host: '127.0.0.1', port: 1, connectRetry: { retries: 0 } })
const code = await pool.query('select 1').then(
  () => undefined,
  (error) => error.code,
)
await pool.end()
if (code !== 'ECONNREFUSED') throw new Error(`a query without a server must fail of ECONNREFUSED, not of ${code}`)

const { bin } = JSON.parse(readFileSync(join(root, 'packages/core/package.json'), 'utf8'))
const help = execFileSync(process.execPath, [join(root, 'packages/core', bin.holdfast), '--help'], { encoding: 'utf8' })
if (!help.startsWith('Usage: holdfast doctor')) throw new Error('the command holdfast does not print its help')
console.log(`@holdfast/core works on Node ${process.version}`)
