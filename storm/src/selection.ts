import { UsageError } from '@holdfast/test/support'
import type { Fault } from './faults/fault.ts'
import { FAULTS, TELLING_FAULTS } from './faults/index.ts'
import { STACKS } from './stacks/index.ts'
import type { Family, Stack } from './stacks/stack.ts'

/** The stacks and the faults of a run. */
export interface Selection {
  readonly stacks: readonly Stack[]
  readonly faults: readonly Fault[]
  /** Whether it is the short storm, whose phases end as soon as there is something to see. */
  readonly isShort: boolean
}

/** What a service may be written with, if not with pg alone. */
export type Orm = Exclude<Family, 'pg'>

/** The titles are complete by their type. */
const TITLES: Readonly<Record<Orm, string>> = { drizzle: 'Drizzle', kysely: 'Kysely', typeorm: 'TypeORM' }

/** The ORMs that the short storm can show, in the order of the question. */
export const ORMS: readonly { readonly orm: Orm; readonly title: string }[] = Object.entries(TITLES).map(
  ([orm, title]) => ({ orm: orm as Orm, title }),
)
/** Without an answer, and without a terminal. */
export const USUAL_ORM: Orm = 'drizzle'

/** Every stack with Holdfast, of all families. */
const WITH_HOLDFAST = 'holdfast'

/** The short storm: pg and this ORM, stock beside Holdfast, through the faults that tell most. */
export function selectShort(orm: Orm, isForeignServer: boolean): Selection {
  const names = ['pg', orm].flatMap((family) => [`${family}-stock`, `${family}-holdfast`])
  return {
    stacks: STACKS.filter(({ name }) => names.includes(name)),
    faults: possibleOn(TELLING_FAULTS, isForeignServer),
    isShort: true,
  }
}

/** @throws {UsageError} for anything but an ORM that the storm knows. */
export function parseOrm(given: string): Orm {
  const found = ORMS.find(({ orm }) => orm === given.trim().toLowerCase())
  const names = ORMS.map(({ orm }) => orm)
  if (!found) throw new UsageError(`--orm ${JSON.stringify(given)}: there are ${names.join(', ')}.`)
  return found.orm
}

/**
 * What `--only` picks of the whole storm: stacks, families of them, faults, in any case and combination; without a name of
 * one kind, all of that kind.
 *
 * @throws {UsageError} for an unknown name, and for a fault that the server doesn't allow.
 */
export function select(given: readonly string[], isForeignServer: boolean): Selection {
  const possible = possibleOn(FAULTS, isForeignServer)
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
  return {
    stacks: stacks.length > 0 ? stacks : STACKS,
    faults: faults.length > 0 ? faults : possible,
    isShort: false,
  }
}

/** The faults that can be made. A server that others run can't be stopped or frozen. */
function possibleOn(faults: readonly Fault[], isForeignServer: boolean): readonly Fault[] {
  return faults.filter(({ needs }) => needs === 'connection' || !isForeignServer)
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
