/** A command to the model server. */
export type Command =
  | { readonly do: 'begin' | 'begin read only' | 'commit' | 'rollback' | 'slow' | 'fail' | 'nothing' }
  | { readonly do: 'read' }
  | { readonly do: 'echo'; readonly value: string }
  | { readonly do: 'savepoint' | 'release' | 'rollback to'; readonly name: string }
  /** Now, or only when the transaction commits. */
  | { readonly do: 'write' | 'write late' | 'announce'; readonly label: string }
  | { readonly do: 'write slowly'; readonly label: string }
  /** Fails the first time: now, or in COMMIT. */
  | { readonly do: 'conflict'; readonly key: string }
  | { readonly do: 'doom'; readonly key: string }
  | { readonly do: 'probe'; readonly withServer: boolean }
  | { readonly do: 'who are you' | 'limits' | 'functions' }
  | { readonly do: 'status'; readonly id: bigint }
  | { readonly do: 'where is' | 'terminate'; readonly which: SessionCondition }
  /** The questions of the watch, and of prepared statements. */
  | { readonly do: 'identify' | 'who serves' }
  | { readonly do: 'look'; readonly pids: readonly number[] }
  | { readonly do: 'fence' | 'exists'; readonly pid: number; readonly start: string }

/** The session that a text names. */
export interface SessionCondition {
  readonly pid?: number
  readonly start?: string
  /** Its lower 32 bits. */
  readonly transactionId?: bigint
}

const GRAMMAR: readonly (readonly [RegExp, (groups: Record<string, string>, text: string) => Command])[] = [
  [/^$/, () => ({ do: 'nothing' })],
  [/^begin read only$/, () => ({ do: 'begin read only' })],
  [/^(?:begin|start transaction)\b/, () => ({ do: 'begin' })],
  [/^(?:commit|end)$/, () => ({ do: 'commit' })],
  [/^rollback to (?:savepoint )?(?<name>\w+)$/, ({ name = '' }) => ({ do: 'rollback to', name })],
  [/^rollback$/, () => ({ do: 'rollback' })],
  [/^savepoint (?<name>\w+)$/, ({ name = '' }) => ({ do: 'savepoint', name })],
  [/^release (?:savepoint )?(?<name>\w+)$/, ({ name = '' }) => ({ do: 'release', name })],
  [/^insert into ledger(?:\(label\))? values \('?(?<label>[^')]+)'?\)$/, ({ label = '' }) => ({ do: 'write', label })],
  [
    /^insert into ledger\(label\) select '(?<label>[^']+)' from slow\(\)$/,
    ({ label = '' }) => ({ do: 'write slowly', label }),
  ],
  [/^select \* from audited where label = '(?<label>[^']+)'$/, ({ label = '' }) => ({ do: 'write', label })],
  [/^select write\('(?<label>[^']+)'\)(?: as single)?$/, ({ label = '' }) => ({ do: 'write', label })],
  [/^select announce\('(?<label>[^']+)'\) as single$/, ({ label = '' }) => ({ do: 'announce', label })],
  [/^notify ledger, '(?<label>[^']+)'$/, ({ label = '' }) => ({ do: 'write late', label })],
  [/^select conflict\('(?<key>[^']+)'\)$/, ({ key = '' }) => ({ do: 'conflict', key })],
  [/^select doom\('(?<key>[^']+)'\)$/, ({ key = '' }) => ({ do: 'doom', key })],
  [/^select slow\(\)$/, () => ({ do: 'slow' })],
  [/^select fail\(\)$/, () => ({ do: 'fail' })],
  [/^select 1(?: as single)?$/, () => ({ do: 'read' })],
  [/^select (?<value>r\d+)::text as shared$/, ({ value = '' }) => ({ do: 'echo', value })],
  [/^select pg_catalog\.pg_backend_pid\(\)::text as pid$/, () => ({ do: 'who serves' })],
  [/pg_stat_get_activity\(pg_catalog\.pg_backend_pid\(\)\)$/, () => ({ do: 'identify' })],
  [/pg_blocking_pids/, (_, text) => ({ do: 'look', pids: numbersIn(/from \(values (.*)\) as asked/.exec(text)?.[1]) })],
  [/pg_stat_clear_snapshot/, (_, text) => ({ do: 'fence', ...oneIn(text) })],
  [/^select pid::text from pg_catalog\.pg_stat_activity/, (_, text) => ({ do: 'exists', ...oneIn(text) })],
  [/pg_xact_status\('(?<id>\d+)'/, ({ id = '' }) => ({ do: 'status', id: BigInt(id) })],
  [/pg_terminate_backend/, (_, text) => ({ do: 'terminate', which: conditionIn(text) })],
  [/^select wait_event, backend_xid/, (_, text) => ({ do: 'where is', which: conditionIn(text) })],
  [/pg_control_checkpoint/, () => ({ do: 'who are you' })],
  [/pg_current_xact_id_if_assigned/, (_, text) => ({ do: 'probe', withServer: text.includes('pg_control_system') })],
  [/pg_roles/, () => ({ do: 'limits' })],
  [/pg_proc/, () => ({ do: 'functions' })],
]

/** The commands in a text. Throws if the model doesn't know one, as when the pool sends a new query. */
export function commandsIn(text: string, values: readonly string[] | undefined): Command[] {
  const parts = text.split(';').map((part) => part.trim())
  const statements = parts.length > 1 ? parts.filter((part) => part !== '') : parts
  if (statements.length === 0) return [{ do: 'nothing' }]
  return statements.map((statement) => commandIn(statement, values))
}

function commandIn(statement: string, values: readonly string[] | undefined): Command {
  const plain = statement.replaceAll(/\$(\d)/g, (_, place) => values?.[Number(place) - 1] ?? '')
  for (const [pattern, command] of GRAMMAR) {
    const match = pattern.exec(plain) ?? pattern.exec(plain.toLowerCase())
    if (match) return command(match.groups ?? {}, plain)
  }
  throw new Error(`The model server doesn't know: ${statement}`)
}

function numbersIn(text = ''): number[] {
  return (text.match(/\d+/g) ?? []).map(Number)
}

function oneIn(text: string): { pid: number; start: string } {
  return { pid: Number(/pid = (\d+)/.exec(text)?.[1]), start: /= '(\d+)'/.exec(text)?.[1] ?? '' }
}

function conditionIn(text: string): SessionCondition {
  const pid = /\bpid = (\d+)/.exec(text)?.[1]
  const start = /::text = '(\d+)'/.exec(text)?.[1]
  const transactionId = /backend_xid = '(\d+)'/.exec(text)?.[1]
  return {
    ...(pid !== undefined && { pid: Number(pid) }),
    ...(start !== undefined && { start }),
    ...(transactionId !== undefined && { transactionId: BigInt(transactionId) }),
  }
}
