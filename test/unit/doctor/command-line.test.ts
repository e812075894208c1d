import { describe, expect, test } from 'vitest'
import { readCommandLine, UsageError } from '../../../packages/core/src/doctor/command-line.ts'
import { duration } from '../../../packages/core/src/doctor/duration.ts'
import { tableOf } from '../../../packages/core/src/doctor/table.ts'

const SECRET = 'postgres://app:hunter2@db/shop'

describe('the command line', () => {
  test('names the server, or DATABASE_URL does, or else the variables of libpq', () => {
    const environment = { DATABASE_URL: 'postgres://from/environment' }
    expect(readCommandLine(['doctor', SECRET], environment)).toMatchObject({ connectionString: SECRET })
    expect(readCommandLine(['doctor'], environment)).toMatchObject({ connectionString: environment.DATABASE_URL })
    expect(readCommandLine(['doctor'], { DATABASE_URL: '' })).toMatchObject({ connectionString: undefined })
  })

  test('has the defaults of one process with a pool as it comes', () => {
    expect(readCommandLine(['doctor'], {})).toEqual({
      help: false,
      connectionString: undefined,
      wanted: { processes: 1, max: 10 },
      timeoutMillis: 10_000,
      isJson: false,
    })
  })

  test('takes numbers', () => {
    const args = ['doctor', '--processes', '4', '--max=25', '--timeout', '0.5', '--json']
    expect(readCommandLine(args, {})).toMatchObject({
      wanted: { processes: 4, max: 25 },
      timeoutMillis: 500,
      isJson: true,
    })
  })

  test.for([[], ['--help'], ['doctor', '-h']])('prints help for %j', (args) => {
    expect(readCommandLine(args, {})).toEqual({ help: true })
  })

  test.for([
    ['patient'],
    ['doctor', '--processes', '0'],
    ['doctor', '--max', SECRET],
    ['doctor', '--timeout', 'soon'],
    ['doctor', SECRET, SECRET],
    [SECRET],
    ['doctor', `--url=${SECRET}`],
  ])('refuses %j, and repeats no value', (args) => {
    const refused = expect(() => readCommandLine(args, {}))
    refused.toThrow(UsageError)
    refused.not.toThrow(/hunter2/)
  })
})

test.for([
  [7_875_000, '2 h 11 min'],
  [120_000, '2 min'],
  [61_000, '1 min 1 s'],
  [10_000, '10 s'],
  [250.4, '250 ms'],
] as const)('%i ms are %s for people', ([millis, text]) => {
  expect(duration(millis)).toBe(text)
})

test('the table has a line for each finding, its advice below it, the options, and the sum', () => {
  const server = { host: 'db', port: 5432, database: 'shop' }
  const findings = [
    { check: 'tls', status: 'ok', found: 'encrypted' },
    { check: 'capacity', status: 'fail', found: 'too many', advice: 'Set `max: 5`.', options: { max: 5 } },
  ] as const
  expect(tableOf({ format: 1, status: 'fail', server, findings, options: { max: 5 } }, false)).toBe(
    `Holdfast doctor: db:5432/shop

ok    tls       encrypted
fail  capacity  too many
                → Set \`max: 5\`.

Options that suit: { max: 5 }

1 failure, 0 warnings.
`,
  )
})
