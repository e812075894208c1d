import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cluster } from '../test/support/index.ts'

/**
 * The names of the functions of `pg_catalog` of which every overload is immutable or stable. To keep the list small, it
 * leaves out functions that queries don't call: those that take or return internal types of the server, that implement an
 * operator, an index or an aggregate (except two that are documented as functions), and those behind the views of
 * statistics.
 */
const NAMES = `
  select proname as name
  from pg_proc
  where pronamespace = 'pg_catalog'::regnamespace and proname !~ '^pg_(stat_get|event_trigger)_'
  group by proname
  having bool_and(provolatile in ('i', 's')) and bool_or(
    not (array['internal', 'cstring']::regtype[]::oid[] && (proargtypes::oid[] || prorettype))
    and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
    and (proname in ('array_cat', 'starts_with') or coalesce(obj_description(oid, 'pg_proc'), '') !~
      '^(implementation of |I/O|hash$|less-equal-greater|equal image|\\(internal\\)|larger of two|smaller of two|aggregate (transition|final|combine) function)')
  )
  order by proname`

const WIDTH = 118
const FILE = join(import.meta.dirname, '../packages/core/src/sql/stable-functions.ts')

/** The text of the file, from the functions that the server of this cluster has. */
export async function stableFunctionsFile(cluster: Cluster): Promise<string> {
  const rows = await cluster.query(NAMES)
  const [{ version } = { version: '' }] = await cluster.query(
    "select split_part(current_setting('server_version'), ' ', 1) as version",
  )
  return `// Made by \`npm run functions\` from the pg_proc of PostgreSQL ${version}. Don't edit it.

/** The functions of pg_catalog that are immutable or stable in all their overloads, and that a query may call. */
export const STABLE_FUNCTIONS: ReadonlySet<string> = new Set(
  \`
${wrapped(rows.map(({ name }) => String(name)))}
\`
    .trim()
    .split(/\\s/),
)
`
}

function wrapped(names: readonly string[]): string {
  const lines: string[] = []
  for (const name of names) {
    const line = lines.at(-1)
    if (line === undefined || line.length + 1 + name.length > WIDTH) lines.push(name)
    else lines[lines.length - 1] = `${line} ${name}`
  }
  return lines.join('\n')
}

if (import.meta.main) {
  await using cluster = await Cluster.start()
  await writeFile(FILE, await stableFunctionsFile(cluster))
}
