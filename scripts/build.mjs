import { spawn } from 'node:child_process'
import { join } from 'node:path'

/**
 * Builds all workspaces. Says on standard error what happens, since the first build takes a while, and shows what the compiler
 * prints only if the build fails. Arguments are passed to turbo.
 */
const turbo = join(import.meta.dirname, '../node_modules/.bin/turbo')
const startedAt = performance.now()
process.stderr.write('Building the packages … ')
const build = spawn(turbo, ['run', 'build', '--output-logs=errors-only', ...process.argv.slice(2)], {
  cwd: join(import.meta.dirname, '..'),
  stdio: ['ignore', 'pipe', 'pipe'],
})
const printed = []
for (const stream of [build.stdout, build.stderr]) stream.on('data', (chunk) => printed.push(chunk))
build.on('error', (error) => printed.push(`${error.message}\n`))
build.on('close', (code) => {
  const seconds = Math.ceil((performance.now() - startedAt) / 1000)
  process.stderr.write(code === 0 ? `done in ${seconds} s.\n` : 'failed:\n')
  if (code !== 0) for (const chunk of printed) process.stderr.write(chunk)
  process.exitCode = code === 0 ? 0 : 1
})
