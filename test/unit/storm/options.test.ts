import { tmpdir } from 'node:os'
import { UsageError } from '@holdfast/test/support'
import { describe, expect, test } from 'vitest'
import { FAULTS } from '../../../storm/src/faults/index.ts'
import { type Options, parseOptions } from '../../../storm/src/options.ts'
import { STACKS } from '../../../storm/src/stacks/index.ts'

const stacksOf = (options: Options): string[] => options.stacks.map(({ name }) => name)
const faultsOf = (options: Options): string[] => options.faults.map(({ name }) => name)

const TEN = [
  'idle-terminated',
  'transactions-terminated',
  'commits-reset',
  'fast-restart',
  'immediate-restart',
  'rst',
  'tls-corruption',
  'black-hole',
  'refused',
  'dirty-releases',
]

describe('without arguments', () => {
  test('runs pg and Drizzle, stock beside Holdfast, through the ten faults that tell most', () => {
    const options = parseOptions([])
    expect(options).toMatchObject({ wants: 'storm', isShort: true, mayAsk: true, json: undefined })
    expect(stacksOf(options)).toEqual(['pg-stock', 'pg-holdfast', 'drizzle-stock', 'drizzle-holdfast'])
    expect(faultsOf(options)).toEqual(TEN)
  })

  test('has a seed of its own', () => {
    expect(parseOptions([]).seed).not.toBe(parseOptions([]).seed)
  })

  test('leaves out what needs a server of our own, when it is given one', () => {
    const options = parseOptions(['--database-url', 'postgres://localhost/app'])
    expect(faultsOf(options)).toEqual(
      TEN.filter((name) => FAULTS.some((fault) => fault.name === name && fault.needs === 'connection')),
    )
    expect(faultsOf(options)).toHaveLength(7)
  })
})

test.each(['drizzle', 'kysely', 'typeorm'])('--orm %s runs that one beside pg, and asks nothing', (orm) => {
  const options = parseOptions(['--orm', orm])
  expect(stacksOf(options)).toEqual(['pg-stock', 'pg-holdfast', `${orm}-stock`, `${orm}-holdfast`])
  expect(faultsOf(options)).toEqual(TEN)
  expect(options).toMatchObject({ isShort: true, mayAsk: false })
})

test('--all runs every stack through every fault', () => {
  const options = parseOptions(['--all'])
  expect(stacksOf(options)).toEqual(STACKS.map(({ name }) => name))
  expect(faultsOf(options)).toEqual(FAULTS.map(({ name }) => name))
  expect(options).toMatchObject({ isShort: false, mayAsk: false })
})

describe('--only', () => {
  test('picks a family and leaves all faults, as `--all` does', () => {
    const options = parseOptions(['--only', 'pg'])
    expect(stacksOf(options)).toEqual(['pg-stock', 'pg-advised', 'pg-holdfast', 'pg-transactional'])
    expect(faultsOf(options)).toEqual(FAULTS.map(({ name }) => name))
    expect(options).toMatchObject({ isShort: false, mayAsk: false })
    expect({ ...parseOptions(['--all', '--only', 'pg']), seed: options.seed }).toEqual(options)
  })

  test('picks faults and leaves all stacks', () => {
    const options = parseOptions(['--only', 'FIN, rst'])
    expect(faultsOf(options)).toEqual(['fin', 'rst'])
    expect(stacksOf(options)).toEqual(STACKS.map(({ name }) => name))
  })

  test('picks stacks and faults together, in several lists', () => {
    const options = parseOptions(['--only', 'kysely-stock,holdfast', '--only', 'fin'])
    expect(stacksOf(options)).toEqual([
      'pg-holdfast',
      'pg-transactional',
      'drizzle-holdfast',
      'kysely-stock',
      'kysely-holdfast',
      'typeorm-holdfast',
    ])
    expect(faultsOf(options)).toEqual(['fin'])
  })
})

test('takes the other flags in every mode', () => {
  for (const mode of [[], ['--all'], ['--only', 'pg,fin'], ['--orm', 'kysely']])
    expect(parseOptions([...mode, '--seed', '7', '--json', '--report', 'storm.html'])).toMatchObject({
      seed: 7,
      json: '-',
      report: 'storm.html',
    })
  expect(parseOptions(['--all', '--help']).wants).toBe('help')
  expect(parseOptions(['--list']).wants).toBe('list')
})

describe('refuses, and says why,', () => {
  test.each([
    [['--orm', 'prisma'], /--orm "prisma": there are drizzle, kysely, typeorm/],
    [['--orm', 'pg'], /--orm "pg"/],
    [['--orm', 'kysely', '--all'], /--orm chooses for the short storm/],
    [['--orm', 'kysely', '--only', 'fin'], /--orm chooses for the short storm/],
    [['--only', 'prisma'], /--only "prisma": no stack, no family and no fault has this name/],
    [['--only', 'fast-restart', '--database-url', 'postgres://localhost/app'], /needs a server of our own/],
    [['--database-url', 'mysql://localhost/app'], /--database-url must be a URL/],
    [['--seed', '1.5'], /--seed must be a whole number/],
    [['--report', tmpdir()], /that is no file/],
    [['--everything'], /--everything/],
  ])('refuses the command line %j, and says why', (args, message) => {
    expect(() => parseOptions(args)).toThrow(UsageError)
    expect(() => parseOptions(args)).toThrow(message)
  })
})
