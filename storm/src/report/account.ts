import { styleText } from 'node:util'
import { counted } from '../counted.ts'
import { type ErrorGroup, errorGroups } from '../results/error-groups.ts'
import type { StormRecord } from '../run/record.ts'
import { wrapped } from './table.ts'
import { asLine, fullName, LOSS_TERMS, lossFacts, REASONS } from './terms.ts'

/** Accounts for every error of the judged stacks: how many, which, and whether it had to be. */
export function renderAccount(record: StormRecord): string {
  const accounts = record.stacks
    .filter(({ stack }) => stack.isJudged)
    .map((stack) => ({ title: stack.stack.title, groups: errorGroups(stack) }))
  const told = accounts.map(({ title, groups }) => [headline(title, groups), ...groups.map(line)].join('\n'))
  return [...told, terms(accounts.flatMap(({ groups }) => groups))].filter((text) => text !== '').join('\n\n')
}

function headline(title: string, groups: readonly ErrorGroup[]): string {
  const sum = (reason?: string): number =>
    groups.filter((group) => !reason || group.reason === reason).reduce((total, { count }) => total + count, 0)
  if (sum() === 0) return `${title} showed no error.`
  return wrapped(
    `${title} showed ${counted(sum(), 'error', 'errors')}: ${sum('in flight')} in flight on a connection when it was ` +
      `killed, ${sum('into the dark')} sent into one that had died without a sign, ${sum('avoidable')} avoidable.`,
  )
}

/** Explains what the lines above say; nothing, if there are none. */
function terms(groups: readonly ErrorGroup[]): string {
  if (groups.length === 0) return ''
  const facts = groups.some(({ error }) => error.phase !== undefined) ? [asLine(LOSS_TERMS)] : []
  return [asLine(REASONS), ...facts].map((text) => wrapped(styleText('dim', text), ' ')).join('\n')
}

function line({ title, reason, count, kinds, error }: ErrorGroup): string {
  const what = Object.entries(kinds)
    .map(([kind, times]) => `${times} ${kind}`)
    .join(', ')
  const facts = lossFacts(error)
  const lost = facts === '' ? '' : ` [${facts}]`
  const text = `${title}: ${reason}: ${fullName(error)} ${error.message}${lost} (${what})`
  return wrapped(reason === 'avoidable' ? styleText('red', text) : text, `  ${String(count).padStart(4)} `)
}
