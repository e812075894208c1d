import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

const PACKAGES = join(import.meta.dirname, '../../../../node_modules')
const ALWAYS = ['@types/node', '@types/pg', 'p-retry', 'pg-pool', 'pg-protocol', 'pg-types', 'pg-connection-string']

/** How the application's `node_modules` differs from this repository's. */
export interface Installed {
  /** The folder of this repository that it has as `drizzle-orm`; false for none. @default 'drizzle-orm' */
  readonly drizzle?: 'drizzle-orm' | 'drizzle-orm-next' | false
  /** Whether Holdfast and Drizzle find copies of pg of their own. @default false */
  readonly hasTwoCopiesOfPg?: boolean
}

/** A folder in which `@holdfast/drizzle` is installed beside other packages than here. It runs programs. */
export class Installation implements AsyncDisposable {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async create({ drizzle = 'drizzle-orm', hasTwoCopiesOfPg = false }: Installed = {}): Promise<Installation> {
    const installation = new Installation(await mkdtemp(join(tmpdir(), 'holdfast-installation-')))
    await installation.write('package.json', '{ "type": "module" }')
    // A copy: Node follows a link, and then looks for its imports beside our own packages.
    await installation.#copy('@holdfast/drizzle')
    for (const name of ['@holdfast/core', 'pg'])
      await (hasTwoCopiesOfPg ? installation.#copy(name) : installation.#link(name))
    for (const name of ALWAYS) await installation.#link(name)
    if (drizzle) await installation.#link('drizzle-orm', drizzle)
    return installation
  }

  /** Writes a file, and the folders on its way. */
  async write(path: string, text: string): Promise<string> {
    const file = join(this.folder, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
    return file
  }

  /** Runs an ES module to its end. Resolves with its output and its exit code. */
  async run(code: string, env: NodeJS.ProcessEnv = {}): Promise<{ printed: string; stderr: string; code: number }> {
    const given = { cwd: this.folder, env: { ...process.env, NODE_OPTIONS: '', ...env }, timeout: 30_000 }
    // From a file, since a bundle is too long for a command line.
    const ended = execute(process.execPath, [await this.write('program.mjs', code)], given)
    return ended.then(
      ({ stdout, stderr }) => ({ printed: stdout.trim(), stderr, code: 0 }),
      ({ stdout, stderr, code: failed }) => ({ printed: stdout.trim(), stderr, code: failed }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true })
  }

  async #copy(name: string): Promise<void> {
    const filter = (path: string): boolean => !path.endsWith('/src') && !path.endsWith('.tsbuildinfo')
    await cp(join(PACKAGES, name), await this.#place(name), { recursive: true, dereference: true, filter })
  }

  async #link(name: string, folder = name): Promise<void> {
    await symlink(join(PACKAGES, folder), await this.#place(name), 'junction')
  }

  async #place(name: string): Promise<string> {
    const place = join(this.folder, 'node_modules', name)
    await mkdir(dirname(place), { recursive: true })
    return place
  }
}
