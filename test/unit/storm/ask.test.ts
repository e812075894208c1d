import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { askForOrm } from '../../../storm/src/ask.ts'

async function asked(answers: readonly string[], withinMillis = 10_000): Promise<{ orm: string; printed: string }> {
  const input = new PassThrough()
  const output = new PassThrough()
  for (const answer of answers) input.write(`${answer}\n`)
  const orm = await askForOrm(input, output, withinMillis)
  return { orm, printed: String(output.read()) }
}

describe('the question for the ORM', () => {
  test.each([
    ['', 'drizzle'],
    ['1', 'drizzle'],
    ['2', 'kysely'],
    ['3', 'typeorm'],
    ['Kysely', 'kysely'],
    [' typeorm ', 'typeorm'],
    ['t', 'typeorm'],
  ])('takes the answer %j as %s', async (answer, orm) => {
    expect((await asked([answer])).orm).toBe(orm)
  })

  test('asks once more when the answer is none of them', async () => {
    const { orm, printed } = await asked(['prisma', '2'])
    expect(orm).toBe('kysely')
    expect(printed).toContain('1, 2 or 3')
  })

  test('takes Drizzle when there is no answer in time', async () => {
    const { orm, printed } = await asked([], 20)
    expect(orm).toBe('drizzle')
    expect(printed).toContain('Drizzle')
  })

  test('takes Drizzle when the input ends', async () => {
    const input = new PassThrough()
    input.end()
    expect(await askForOrm(input, new PassThrough(), 10_000)).toBe('drizzle')
  })
})
