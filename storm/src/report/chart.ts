import type { EChartsOption } from 'echarts'
import { timeline } from '../results/timeline.ts'
import type { StackRecord, StormRecord } from '../run/record.ts'
import { PALETTE } from './palette.ts'

/** Of one stack's chart, in pixels. */
export const CHART_HEIGHT = 330

// Otherwise echarts shifts each grid to make room for its labels, and the two time axes differ.
const OWN_BOUNDS = { outerBoundsMode: 'none' as const, left: 72, right: 16 }
const RATES = { ...OWN_BOUNDS, top: 46, height: 150 }
const LATENCY = { ...OWN_BOUNDS, top: 222, height: 74 }
const LONGEST_LATENCY_MILLIS = 10_000
const MILLIS_PER_SECOND = 1000

/** One stack's course: what succeeded and failed above, how long it took below, and behind both what was done to it. */
export function chartOptions(stack: StackRecord, record: StormRecord): EChartsOption {
  const slices = timeline(stack)
  const xAxis = { type: 'value' as const, min: 0, max: lengthOf(record), splitLine: { show: false } }
  return {
    animation: false,
    textStyle: { color: PALETTE.text },
    grid: [RATES, LATENCY],
    axisPointer: { link: [{ xAxisIndex: 'all' as const }] },
    tooltip: { trigger: 'axis', transitionDuration: 0 },
    xAxis: [
      { ...xAxis, gridIndex: 0, axisLabel: { show: false }, axisTick: { show: false } },
      { ...xAxis, gridIndex: 1, axisLabel: { formatter: '{value} s', color: PALETTE.faint, showMaxLabel: false } },
    ],
    yAxis: [
      {
        gridIndex: 0,
        ...named('per second'),
        max: highestRate(record),
        splitNumber: 3,
        axisLabel: { color: PALETTE.faint },
        splitLine: { lineStyle: { color: PALETTE.line } },
      },
      {
        gridIndex: 1,
        type: 'log',
        ...named('ms'),
        min: 10,
        max: LONGEST_LATENCY_MILLIS,
        axisLabel: { color: PALETTE.faint },
        splitLine: { lineStyle: { color: PALETTE.line } },
      },
    ],
    series: [
      {
        name: 'successes/s',
        type: 'line',
        step: 'middle',
        symbol: 'none',
        data: slices.map(({ at, successesPerSecond }) => [at, successesPerSecond]),
        color: PALETTE.success,
        lineStyle: { width: 1.5 },
        areaStyle: { opacity: 0.25 },
        markArea: { silent: true, data: areas(stack, record) },
      },
      {
        name: 'errors/s',
        type: 'bar',
        barWidth: 4,
        // A single error must be visible beside hundreds of successes.
        barMinHeight: 5,
        data: slices.map(({ at, errorsPerSecond }) => [at, errorsPerSecond === 0 ? '-' : errorsPerSecond]),
        color: PALETTE.error,
        markPoint: { silent: true, data: crashMarks(stack) },
        z: 3,
      },
      {
        name: 'oldest operation, ms',
        type: 'line',
        step: 'middle',
        symbol: 'none',
        xAxisIndex: 1,
        yAxisIndex: 1,
        data: slices.map(({ at, maxLatencyMillis }) => [at, maxLatencyMillis]),
        color: PALETTE.latency,
        lineStyle: { width: 1.2, type: [4, 2] },
        markArea: { silent: true, data: strikes(stack, record) },
      },
    ],
  }
}

function named(name: string): object {
  return { name, nameLocation: 'middle', nameGap: 46, nameTextStyle: { color: PALETTE.faint } }
}

type Area = [MarkEnd, MarkEnd]
type MarkEnd = { name?: string; xAxis: number; itemStyle?: object; label?: object }

function areas(stack: StackRecord, record: StormRecord): Area[] {
  const phases = stack.phases.map(({ fault, index, startedAt }): Area => {
    const next = stack.phases[index + 1]?.startedAt ?? stack.endedAt
    const label = {
      show: true,
      position: 'top' as const,
      distance: 6,
      width: 84,
      overflow: 'break' as const,
      color: PALETTE.text,
      fontSize: 11,
      lineHeight: 13,
    }
    const color = index % 2 === 0 ? PALETTE.phase : 'transparent'
    return [
      { name: fault.title, xAxis: since(startedAt, stack), itemStyle: { color }, label },
      { xAxis: since(next, stack) },
    ]
  })
  return [...phases, ...strikes(stack, record)]
}

function strikes(stack: StackRecord, record: StormRecord): Area[] {
  return stack.phases.map(({ struckFrom, struckUntil }): Area => {
    const from = since(struckFrom, stack)
    // A very short one must be visible all the same.
    const until = Math.max(since(struckUntil, stack), from + lengthOf(record) / 400)
    return [{ xAxis: from, itemStyle: { color: PALETTE.strike }, label: { show: false } }, { xAxis: until }]
  })
}

function crashMarks(stack: StackRecord): { name: string; coord: [number, number] }[] {
  return stack.phases
    .flatMap(({ crashes }) => crashes)
    .map(({ at }) => ({
      name: 'crash',
      coord: [since(at, stack), 0] as [number, number],
      symbol: 'triangle',
      symbolSize: [10, 10],
      symbolOffset: [0, 8],
      itemStyle: { color: PALETTE.error },
      label: { show: false },
    }))
}

function highestRate(record: StormRecord): number {
  const rates = record.stacks.flatMap((stack) =>
    timeline(stack).map(({ successesPerSecond, errorsPerSecond }) => Math.max(successesPerSecond, errorsPerSecond)),
  )
  return Math.ceil(Math.max(...rates, 1) / 100) * 100
}

function since(time: number, { startedAt }: StackRecord): number {
  return Math.round((time - startedAt) / 10) / (MILLIS_PER_SECOND / 10)
}

/** Of the longest wave: all charts have the same axis. */
function lengthOf({ stacks }: StormRecord): number {
  return Math.ceil(Math.max(...stacks.map(({ startedAt, endedAt }) => endedAt - startedAt)) / MILLIS_PER_SECOND)
}
