import { calmLatencyMillis } from '../results/calm.ts'
import { errorGroups } from '../results/error-groups.ts'
import { phaseResults } from '../results/phase-result.ts'
import { timeline } from '../results/timeline.ts'
import { totals } from '../results/totals.ts'
import { violations } from '../results/verdict.ts'
import type { StackRecord, StormRecord } from '../run/record.ts'
import { SETTINGS } from '../settings.ts'

/** Everything that the table says and more, for a program to read. */
export function renderJson(record: StormRecord): string {
  const { seed, server, startedAt, endedAt } = record
  const stacks = record.stacks.map((stack) => ({
    name: stack.stack.name,
    family: stack.stack.family,
    title: stack.stack.title,
    isJudged: stack.stack.isJudged,
    endedWithinMillis: stack.endedWithinMillis ?? null,
    all: totals(stack),
    phases: phaseResults(stack),
    errors: errorGroups(stack),
    crashes: stack.phases.flatMap(({ fault, crashes }) =>
      crashes.map(({ lastWords, pending }) => ({ fault: fault.name, lastWords, operationsLost: pending.length })),
    ),
    course: course(stack),
  }))
  const run = { startedAt: new Date(startedAt).toISOString(), millis: Math.round(endedAt - startedAt) }
  const report = {
    seed,
    server,
    calmLatencyMillis: calmLatencyMillis(record),
    node: process.version,
    ...run,
    settings: SETTINGS,
    violations: violations(record),
    stacks,
  }
  return `${JSON.stringify(report, null, 2)}\n`
}

/** What the picture in the README is drawn from; times are seconds since the stack's first fault was due. */
function course(stack: StackRecord): object {
  const since = (time: number): number => Math.round((time - stack.startedAt) / 10) / 100
  return {
    slices: timeline(stack),
    faults: stack.phases.map(({ fault, startedAt, struckFrom, struckUntil }) => ({
      title: fault.title,
      from: since(startedAt),
      struckFrom: since(struckFrom),
      struckUntil: since(struckUntil),
    })),
    crashes: stack.phases.flatMap(({ crashes }) => crashes.map(({ at }) => since(at))),
  }
}
