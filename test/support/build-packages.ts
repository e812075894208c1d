import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const REPOSITORY = join(import.meta.dirname, '../..')

/**
 * Builds the packages before the first test. Most tests see the sources; some copy or bundle a package as it is published,
 * and these must not find yesterday's build.
 */
export default async function buildPackages(): Promise<void> {
  const turbo = join(REPOSITORY, 'node_modules/.bin/turbo')
  try {
    await promisify(execFile)(turbo, ['run', 'build', '--filter=./packages/*', '--output-logs=errors-only'], {
      cwd: REPOSITORY,
    })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`The packages do not build, so they are not tested:\n${stdout}${stderr}`, { cause: error })
  }
}
