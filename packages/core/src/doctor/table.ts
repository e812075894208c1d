import { inspect, styleText } from 'node:util'
import type { Diagnosis } from './diagnosis.ts'
import type { Finding, Status } from './finding.ts'

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red' } as const
const INDENT = '      '

/** The diagnosis as a table for people. `inColour`: with the colours of a terminal. */
export function tableOf({ server, findings, options }: Diagnosis, inColour: boolean): string {
  const { host, port, database } = server
  const width = Math.max(...findings.map(({ check }) => check.length))
  const sections = [
    `Holdfast doctor: ${host}:${port}${database === undefined ? '' : `/${database}`}`,
    findings.map((finding) => rowOf(finding, width, inColour)).join('\n'),
    ...(Object.keys(options).length === 0
      ? []
      : [`Options that suit: ${inspect(options, { breakLength: Number.POSITIVE_INFINITY })}`]),
    summaryOf(findings),
  ]
  return `${sections.join('\n\n')}\n`
}

function rowOf({ check, status, found, advice }: Finding, width: number, inColour: boolean): string {
  const word = status.padEnd(4)
  const mark = inColour ? styleText(COLOURS[status], word, { validateStream: false }) : word
  const row = `${mark}  ${check.padEnd(width)}  ${found}`
  return advice === undefined ? row : `${row}\n${INDENT}${' '.repeat(width)}  → ${advice}`
}

function summaryOf(findings: readonly Finding[]): string {
  const count = (status: Status): number => findings.filter((finding) => finding.status === status).length
  const [failures, warnings] = [count('fail'), count('warn')]
  if (failures + warnings === 0) return 'All is well.'
  return `${failures} ${failures === 1 ? 'failure' : 'failures'}, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}.`
}
