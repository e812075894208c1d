import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { counted } from '../counted.ts'
import { errorGroups } from '../results/error-groups.ts'
import { doubt, hasVerdict, heldVerdict, violations } from '../results/verdict.ts'
import type { StackRecord, StormRecord } from '../run/record.ts'
import { SETTINGS } from '../settings.ts'
import { CHART_HEIGHT, chartOptions } from './chart.ts'
import { html, type Markup, markup } from './html.ts'
import { STYLE } from './style.ts'
import { COLUMNS, rowGroups } from './table.ts'
import { fullName, LOSS_TERMS, lossFacts, NOTES, REASONS, type Term } from './terms.ts'

/**
 * The report as one self-contained page: a chart for each stack on the same time axis, and the table
 * below. It includes echarts, for its tooltips.
 */
export async function renderPage(record: StormRecord): Promise<string> {
  const charts = record.stacks.map((stack, index) => ({ id: `chart-${index}`, options: chartOptions(stack, record) }))
  const columns = COLUMNS.map(({ head, meaning }) => ({ term: head, meaning }))
  const body = html`
    <header>
      <h1>The storm</h1>
      <p>${introduction(record)}</p>
      ${warning(record)}${verdict(record)}
    </header>
    <section class="charts">
      <p class="legend">
        <i class="ok"></i> successes per second <i class="errors"></i> errors per second
        <i class="latency"></i> oldest operation, in ms <i class="strike"></i> the fault lasts <i class="phase"></i> a fault and the calm around it (every second one) <i class="crash"></i> crash<br>
        The gap before each next fault is a pause of the workload: everybody stops, so that what is left behind can be counted.
      </p>
      ${record.stacks.map((stack, index) => chart(stack, charts[index]?.id ?? ''))}
    </section>
    <section><h2>Fault by fault</h2>${table(record)}${definitions([...columns, ...NOTES])}</section>
    <section><h2>Every error, and why</h2>${definitions([...REASONS, ...LOSS_TERMS])}${record.stacks.map(account)}</section>
    <section><h2>What was done</h2>${stories(record)}</section>`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast: the storm</title>
<style>${STYLE}</style>
</head>
<body>
${body.text}
<script>${await library()}</script>
<script>${script(charts)}</script>
</body>
</html>
`
}

async function library(): Promise<string> {
  const file = createRequire(import.meta.url).resolve('echarts/dist/echarts.min.js')
  return (await readFile(file, 'utf8')).replaceAll('</script', '<\\/script')
}

function script(charts: readonly { readonly id: string; readonly options: object }[]): string {
  const data = JSON.stringify(charts).replaceAll('<', '\\u003c')
  return `
const charts = ${data}.map(({ id, options }) => {
  const chart = echarts.init(document.getElementById(id), null, { renderer: 'svg' })
  chart.setOption(options)
  return chart
})
echarts.connect(charts)
addEventListener('resize', () => charts.forEach((chart) => chart.resize()))
`
}

function introduction({ server, seed, startedAt, endedAt, stacks }: StormRecord): string {
  const { readers, writers, movers, poolMax } = SETTINGS
  const faults = stacks[0]?.phases.length ?? 0
  return (
    `The same service (${readers} readers, ${writers} writers, ${movers} movers of money, a pool of ${poolMax}) on ` +
    `${stacks.length} stacks, each family side by side through the same ${faults} faults. ${server} over TLS, Node ${process.version}, ` +
    `${new Date(startedAt).toISOString().slice(0, 16).replace('T', ' ')} UTC, ${Math.round((endedAt - startedAt) / 1000)} s, ` +
    `seed ${seed}.`
  )
}

function warning(record: StormRecord): Markup {
  const text = doubt(record)
  return text === undefined ? markup('') : html`<p class="verdict">${text}</p>`
}

function verdict(record: StormRecord): Markup {
  if (!hasVerdict(record)) return markup('')
  const found = violations(record)
  if (found.length === 0) return html`<p class="verdict held">${heldVerdict(record)}</p>`
  return html`<div class="verdict"><p>Holdfast did not hold:</p><ul>${found.map((violation) => html`<li>${violation}</li>`)}</ul></div>`
}

function chart({ stack }: StackRecord, id: string): Markup {
  return html`<article><h2>${stack.title}</h2><p class="about">${stack.about}</p>
    <div class="scroll"><div class="chart" id="${id}" style="height:${CHART_HEIGHT}px"></div></div></article>`
}

function table(record: StormRecord): Markup {
  const rows = rowGroups(record).flatMap((group) =>
    group.rows.map(({ stack, result }, position) => {
      const head = position === 0 ? html`<th scope="rowgroup" rowspan="${group.rows.length}">${group.title}</th>` : ''
      const cells = COLUMNS.map((column) => {
        const text = column.text(result)
        const kind = column.isBad(result) ? 'bad' : text === '0' ? 'zero' : ''
        return html`<td class="${kind}">${text}</td>`
      })
      return html`<tr class="${position === 0 ? 'first' : ''} ${stack.isJudged ? 'ours' : ''}">${head}<th scope="row">${stack.title}</th>${cells}</tr>`
    }),
  )
  const heads = ['fault', 'stack', ...COLUMNS.map(({ head }) => head)]
  return html`<div class="scroll"><table><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`
}

function definitions(terms: readonly Term[]): Markup {
  return html`<dl>${terms.map(({ term, meaning }) => html`<div><dt>${term}</dt><dd>${meaning}</dd></div>`)}</dl>`
}

function account(stack: StackRecord): Markup {
  const groups = errorGroups(stack)
  const { title, isJudged } = stack.stack
  const crashes = stack.phases.flatMap(({ fault, crashes: some }) => some.map((crash) => ({ fault, crash })))
  const rows = groups.map(
    ({ title: fault, reason, count, error }) => html`<tr><td>${count}</td><td>${fault}</td>
      <td>${isJudged ? reason : ''}</td><td>${fullName(error)}: ${error.message}
      <small>${lossFacts(error)}</small></td></tr>`,
  )
  const deaths = crashes.map(
    ({ fault, crash }) =>
      html`<tr><td>${crash.pending.length}</td><td>${fault.title}</td><td>crash</td>
        <td>${firstError(crash.lastWords)} <small>${operations(crash.pending.length)} pending</small></td></tr>`,
  )
  const heads = ['errors', 'fault', 'why', 'what the application saw']
  if (rows.length + deaths.length === 0) return html`<h3>${title}</h3><p>None.</p>`
  return html`<details ${isJudged ? 'open' : ''}><summary>${title}</summary><table class="errors"><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${rows}${deaths}</tbody></table></details>`
}

function operations(count: number): string {
  return counted(count, 'operation', 'operations')
}

function firstError(lastWords: string): string {
  return lastWords.split('\n').find((line) => /^\w*error\b.*:/i.test(line)) ?? lastWords.slice(0, 200)
}

function stories(record: StormRecord): Markup {
  const faults = record.stacks[0]?.phases ?? []
  return definitions(faults.map(({ fault }) => ({ term: fault.title, meaning: fault.story })))
}
