import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Checks that a tag, such as v1.2.0, is what is about to be published, and that no changeset waits. Exits with 1 if not. */
const [tag = ''] = process.argv.slice(2)
const root = join(import.meta.dirname, '..')
const problems = []
for (const name of readdirSync(join(root, 'packages'))) {
  const { version } = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
  if (tag !== `v${version}`) problems.push(`@holdfast/${name} is ${version}, and the tag is ${tag}`)
}
const waiting = readdirSync(join(root, '.changeset')).filter((file) => file.endsWith('.md') && file !== 'README.md')
if (waiting.length > 0) problems.push(`${waiting.length} changesets wait for \`npx changeset version\``)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0
