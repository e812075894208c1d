import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { settles } from '../../faults/support/settling.ts'
import type { Script } from '../programs/script.ts'

const run = promisify(execFile)

/** Runs the script until its process ends by itself, and returns the lines that it printed. */
export async function runScript(script: Script, environment: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const program = fileURLToPath(new URL('../programs/script.ts', import.meta.url))
  const flags = ['--experimental-strip-types', '--no-warnings']
  const ended = run(process.execPath, [...flags, program, JSON.stringify(script)], {
    env: { ...process.env, ...environment },
    timeout: 20_000,
  })
  const { stdout } = await settles(ended, 'the end of the script')
  return stdout.trimEnd().split('\n')
}
