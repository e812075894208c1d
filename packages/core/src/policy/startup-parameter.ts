import { messageOf } from '../thrown.ts'
import { isOfPooler } from './pooler-words.ts'

/** The setting that the option `clientConnectionCheckMillis` sends. */
export const CONNECTION_CHECK = 'client_connection_check_interval'

// The settings for which pg has an option of the same name. All others are sent in `options`.
const OWN_OPTIONS: ReadonlySet<string> = new Set([
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'replication',
])

/**
 * What to change, if a pooler has refused a login since it doesn't take a start-up parameter. `sent`: the `options` that were sent.
 * Undefined if this error is another one.
 */
export function refusedParameterHint(error: unknown, sent: string): string | undefined {
  if (!isOfPooler(error)) return undefined
  const [, parameter] = /^unsupported startup parameter(?: in options)?: (\w+)/.exec(messageOf(error)) ?? []
  const isOfOptions = parameter === undefined && messageOf(error).startsWith('unsupported options startup parameter')
  if (parameter === undefined && !isOfOptions) return undefined
  const isUnclear = parameter === undefined || parameter === 'options'
  const settings = isUnclear ? settingsIn(sent) : [parameter]
  const options = [...new Set(settings.map(optionFor))].map((option) => `\`${option}\``)
  const [setting = '<setting>', ...others] = settings
  const remedy = `alter role … set ${others.length > 0 ? '<setting>' : setting} = …`
  return `${options.join(' and ') || '`options`'} can't be sent through this pooler: leave it out, and set it at the server, by ${remedy}`
}

function settingsIn(options: string): string[] {
  return [...options.matchAll(/(?:-c\s*|--)([\w.]+)=/g)].map(([, name = '']) => name)
}

function optionFor(setting: string): string {
  if (setting === CONNECTION_CHECK) return 'clientConnectionCheckMillis'
  return OWN_OPTIONS.has(setting) ? setting : 'options'
}
