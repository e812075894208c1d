import { UsageError } from '@holdfast/test/support'
import type { Fault } from './faults/fault.ts'
import { FAULTS } from './faults/index.ts'
import { STACKS } from './stacks/index.ts'
import type { Stack } from './stacks/stack.ts'

/** The stacks and the faults of a run. */
export interface Selection {
  readonly stacks: readonly Stack[]
  readonly faults: readonly Fault[]
}

/** Every stack with Holdfast, of all families. */
const WITH_HOLDFAST = 'holdfast'

/**
 * What `--only` picks: stacks, families of them, faults, in any case and combination; without a name of one kind, all of
 * that kind.
 *
 * @throws {UsageError} for an unknown name, and for a fault that the server doesn't allow.
 */
export function select(given: readonly string[], isForeignServer: boolean): Selection {
  const possible = FAULTS.filter(({ needs }) => needs === 'connection' || !isForeignServer)
  const names = given.map((name) => name.trim().toLowerCase())
  for (const [index, name] of names.entries()) {
    if (STACKS.some((stack) => isNamed(stack, name)) || possible.some((fault) => fault.name === name)) continue
    const told = `--only ${JSON.stringify(given[index]?.trim())}`
    if (FAULTS.some((fault) => fault.name === name))
      throw new UsageError(`${told}: this fault needs a server of our own, so not with --database-url.`)
    throw new UsageError(`${told}: no stack, no family and no fault has this name. ${allNames()}`)
  }
  const stacks = STACKS.filter((stack) => names.some((name) => isNamed(stack, name)))
  const faults = possible.filter(({ name }) => names.includes(name))
  return { stacks: stacks.length > 0 ? stacks : STACKS, faults: faults.length > 0 ? faults : possible }
}

function isNamed({ name, family, isJudged }: Stack, given: string): boolean {
  return given === name || given === family || (given === WITH_HOLDFAST && isJudged)
}

function allNames(): string {
  const list = (names: readonly string[]): string => [...new Set(names)].join(', ')
  return [
    'There are',
    `  the families of stacks ${list(STACKS.map(({ family }) => family))}, and ${WITH_HOLDFAST} for the one with Holdfast of each,`,
    `  the stacks ${list(STACKS.map(({ name }) => name))},`,
    `  the faults ${list(FAULTS.map(({ name }) => name))}.`,
  ].join('\n')
}
