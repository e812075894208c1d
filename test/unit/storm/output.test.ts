import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { Progress } from '../../../storm/src/report/progress.ts'
import { verdict, violations } from '../../../storm/src/results/verdict.ts'
import { emptyPhase, type PhaseRecord, type StackRecord, type StormRecord } from '../../../storm/src/run/record.ts'
import { selectShort } from '../../../storm/src/selection.ts'
import { SETTINGS } from '../../../storm/src/settings.ts'
import type { Operation } from '../../../storm/src/workload/operation.ts'

const { stacks, faults } = selectShort('kysely', false)

function phase(index: number, parts: Partial<PhaseRecord> = {}): PhaseRecord {
  const fault = faults[index]
  if (!fault) throw new Error(`there is no fault ${index}`)
  const calm = { usableSlots: SETTINGS.poolMax, balancesAreRight: true }
  return { ...emptyPhase(fault, index), ...calm, ...parts }
}

/** A write that was cut off by an act against its connection. */
function cutOff(startedAt: number): Operation {
  return {
    kind: 'write',
    outcome: 'failed',
    startedAt,
    leasedAt: startedAt,
    endedAt: startedAt + 10,
    error: { name: 'ConnectionLostError', message: 'lost', commitOutcome: 'unknown', step: 'statement' },
  } as unknown as Operation
}

function record(phasesOf: (isJudged: boolean) => readonly PhaseRecord[]): StormRecord {
  const run = (stack: (typeof stacks)[number]): StackRecord => ({
    stack,
    startedAt: 0,
    endedAt: 1,
    phases: phasesOf(stack.isJudged),
    endedWithinMillis: 5,
  })
  return { seed: 1, startedAt: 0, endedAt: 1, server: 'PostgreSQL 18', stacks: stacks.map(run) }
}

const KILLED: Partial<PhaseRecord> = {
  acts: [{ effect: 'kills', from: 0, until: 100 }],
  operations: [cutOff(50)],
}
const CRASHED: Partial<PhaseRecord> = { crashes: [{ at: 60, lastWords: 'Error: died', pending: [] }] }

describe('the verdict is one sentence', () => {
  test('that says what held, beside the numbers of stock', () => {
    const storm = record((isJudged) => [phase(0, isJudged ? KILLED : { ...KILLED, ...CRASHED })])
    expect(violations(storm)).toEqual([])
    expect(verdict(storm)).toBe(
      'Where stock showed 2 errors, 0 hangs and 2 crashes, Holdfast lost nothing, doubled nothing, misreported nothing, ' +
        'left nothing astray and no slot behind, and neither crashed nor hung; 2 writes lost their connection under way, ' +
        'and were reported as unknown.',
    )
  })

  test('that says nothing of stock and of errors, if there are none', () => {
    const storm = record(() => [phase(0)])
    const ours = { ...storm, stacks: storm.stacks.filter(({ stack }) => stack.isJudged) }
    expect(verdict(ours)).toMatch(/^Holdfast lost nothing, .* and neither crashed nor hung\.$/)
  })

  test('that counts what went wrong', () => {
    const storm = record((isJudged) => [phase(0, isJudged ? CRASHED : {})])
    expect(violations(storm)).toHaveLength(2)
    expect(verdict(storm)).toBe('Holdfast did not hold: 2 things went wrong, listed above the table.')
  })
})

describe('the progress', () => {
  function shown(isTTY: boolean): string {
    const out = Object.assign(new PassThrough(), { isTTY, columns: 100 })
    {
      using progress = new Progress(out as unknown as NodeJS.WriteStream, { stacks, faults, isShort: true })
      progress.began({
        number: 1,
        runs: record(() => []).stacks.map((stack) => ({ record: stack, current: undefined })),
      })
      for (const stack of stacks) progress.phaseEnded(stack, phase(3, stack.isJudged ? {} : { ...KILLED, ...CRASHED }))
    }
    return stripVTControlCharacters(String(out.read()))
  }

  test('begins with what will happen, and how long it takes', () => {
    expect(shown(false).split('\n').slice(0, 3)).toEqual([
      'The storm breaks PostgreSQL in 10 ways under one small service, written for 4 stacks. It takes about 70 seconds.',
      'pg.Pool, pg + Holdfast, Kysely and Kysely + Holdfast.',
      'Every fault and every stack, in five minutes: npm start -- --all',
    ])
  })

  test('is a line for each fault, with what it did to stock and to Holdfast', () => {
    const lines = shown(false).trim().split('\n').slice(4)
    expect(lines).toEqual([
      expect.stringMatching(/^ *4\/10 fast restart +stock: 2 errors, 2 crashes +Holdfast: nothing$/),
    ])
  })

  test('is a bar too on a terminal', () => {
    const text = shown(true)
    expect(text).toMatch(/\[#*\.+\] 0 of 70 s/)
    expect(text).toContain('4/10 fast restart')
  })
})
