import { PALETTE } from './palette.ts'

const { success, error, strike, phase, text, faint, line, latency } = PALETTE

/** The page's style sheet. */
export const STYLE: string = `
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1360px; padding: 2rem 2rem 4rem; background: #fff; color: ${text};
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
h1 { margin: 0; font-size: 2rem; letter-spacing: -0.02em; }
h2 { margin: 2.5rem 0 0.75rem; font-size: 1.25rem; }
header p { margin: 0.25rem 0 0; max-width: 72rem; color: #52606d; }
header .verdict { display: inline-block; margin-top: 1rem; padding: 0.5rem 0.9rem; border-left: 4px solid ${error};
  background: #fdf1e9; color: ${text}; }
header .verdict.held { border-color: ${success}; background: #eaf3f9; }
.charts article h2 { display: inline-block; margin: 1rem 0.75rem 0 0; }
.charts .about { display: inline; color: ${faint}; }
.legend { margin: 1.5rem 0 0; color: #52606d; font-size: 13px; }
.legend i { display: inline-block; width: 18px; height: 10px; margin: 0 4px 0 16px; vertical-align: baseline; }
.legend i:first-child { margin-left: 0; }
.legend .ok { background: ${success}; opacity: 0.55; }
.legend .errors { background: ${error}; }
.legend .latency { height: 0; border-top: 2px dashed ${latency}; vertical-align: middle; }
.legend .strike { background: ${strike}; }
.legend .phase { background: ${phase}; outline: 1px solid ${line}; }
.legend .crash { width: 0; height: 0; border: 6px solid transparent; border-top: 0; border-bottom: 11px solid ${error}; }
.scroll { overflow-x: auto; }
.chart { min-width: 900px; }
table { width: 100%; border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 0.28rem 0.45rem; text-align: right; white-space: nowrap; }
th { font-weight: 500; text-align: left; }
thead th { border-bottom: 2px solid ${text}; font-weight: 600; text-align: right; }
thead th:nth-child(-n + 2) { text-align: left; }
tr.first > * { border-top: 1px solid ${line}; }
th[scope="rowgroup"] { vertical-align: top; font-weight: 600; }
tr.ours th[scope="row"], tr.ours td { background: #f2f7fb; }
td.zero { color: #9aa5b1; }
td.bad { color: #b04600; font-weight: 700; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: 0.3rem 2rem; margin: 1rem 0 0;
  color: #52606d; font-size: 13px; }
dt { display: inline; font-weight: 600; color: ${text}; }
dt::after { content: ": "; }
dd { display: inline; margin: 0; }
details { margin: 0.75rem 0; }
summary { font-weight: 600; cursor: pointer; }
table.errors :is(td, th) { text-align: left; vertical-align: top; border-bottom: 1px solid ${line}; font-size: 13px; }
table.errors td:last-child { white-space: normal; width: 100%; }
table.errors :is(td, th):first-child { text-align: right; }
details > .errors { margin-top: 0.5rem; }
.note { margin: 0.75rem 0 0; max-width: 72rem; color: #52606d; font-size: 13px; }
small { color: ${faint}; }
@media print { .charts article { break-inside: avoid; } }
`
