import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Ask,
  readServer,
  readServerReport,
  sessionQuery,
  terminateQuery,
  xidStatusQuery,
} from '../../../packages/core/src/commit/server-report.ts'
import { ASKED, SERVER } from './identity.ts'
import { nonsense } from './nonsense.ts'

const SERVER_TEXT = '42 1700000000.123456 7000000000000000001 00000001 1600000000.5 1600000000.7'

describe('the identity of a server', () => {
  test('the identity of a server is read from its text', () => {
    expect(readServer(SERVER_TEXT)).toEqual(SERVER)
  })

  test.each([
    ['nothing', undefined],
    ['null, as a standby answers', null],
    ['an empty text', ''],
    ['a number', 42],
    [
      'too short, without a start that the role may not see',
      '42 7000000000000000001 00000001 1600000000.5 1600000000.7',
    ],
    ['too long', `${SERVER_TEXT} 1`],
    ['without a pid', SERVER_TEXT.replace('42', 'x')],
    ['with a negative pid', SERVER_TEXT.replace('42', '-42')],
    ['with a start that would end the string of a query', SERVER_TEXT.replace('1700000000.123456', "'--")],
  ])('the identity of a server is refused if it is %s', (_, text) => {
    expect(readServer(text)).toBeUndefined()
  })

  test('the identity of a server is read completely or not at all, whatever the text is', () => {
    const part = fc.oneof(fc.constantFrom('42', '00000001', '', '1.5', '9'.repeat(100_000), "'", 'x'), fc.string())
    const property = fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const server = readServer(parts.join(' ')) ?? {}
      expect(Object.values(server).join(' ')).toMatch(/^[\dA-F. ]{0,200}$/i)
    })
    fc.assert(property, { numRuns: 500 })
  })
})

describe('the queries', () => {
  const SAME_SESSION = "pid = 42 and (extract(epoch from backend_start) * 1000000)::bigint::text = '1700000000.123456'"

  const words = (sql: string): string => sql.replaceAll(/\s+/g, ' ')

  test('the queries name the transaction by all of its 64 bits', () => {
    expect(xidStatusQuery({ ...ASKED, transactionId: '4294967300' })).toContain("'4294967300'::xid8")
  })

  test('the queries find a session by its pid and its start', () => {
    expect(words(sessionQuery(ASKED))).toContain(SAME_SESSION)
  })

  test('the query that terminates a session does so only if it is the same, in the same transaction, and not waiting for a standby', () => {
    const sql = words(terminateQuery(ASKED))
    expect(sql).toContain(SAME_SESSION)
    expect(sql).toContain("backend_xid = '1000'::xid8::xid")
    expect(sql).toContain("wait_event is distinct from 'SyncRep'")
  })

  test('the query that terminates a session whose transaction is unknown does so if the session is the same', () => {
    expect(words(terminateQuery(SERVER))).toContain(SAME_SESSION)
    expect(words(terminateQuery(SERVER))).not.toContain('xid')
  })
})

describe('the report of a server', () => {
  const RIGHT = { server: SERVER_TEXT, next_xid: '2000', is_first: 'false', status: 'committed', wait_event: null }

  test('the report of a server is well formed or refused, whatever the server answers', async () => {
    const columns = fc.constantFrom(...Object.keys(RIGHT).filter((column) => column !== 'wait_event'))
    const property = fc.asyncProperty(columns, nonsense, async (column, value) => {
      const ask: Ask = async () => [{ ...RIGHT, [column]: value }]
      const report = await readServerReport(ASKED, ask).catch((error: Error) => error.message)
      if (typeof report === 'string') {
        expect(report).toMatch(/makes no sense$/)
        return
      }
      expect([null, 'committed', 'aborted', 'in progress']).toContain(report?.status)
      expect(report?.state.nextTransactionId).toMatch(/^\d{1,20}$/)
      expect(report?.state.server.timeline).toMatch(/^[\dA-F]{8}$/i)
    })
    await fc.assert(property, { numRuns: 500 })
  })

  test('the report of a server is undefined from a standby, and refused without the status of the transaction', async () => {
    expect(await readServerReport(ASKED, async () => [])).toBeUndefined()
    const silent: Ask = async (sql) => (sql.includes('pg_xact_status') ? [] : [RIGHT])
    await expect(readServerReport(ASKED, silent)).rejects.toThrow(
      'what the server says of the transaction makes no sense',
    )
  })
})
