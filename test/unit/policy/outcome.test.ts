import { describe, expect, test } from 'vitest'
import {
  isWorkersEnd,
  leastCertain,
  messageFacts,
  outcomeOf,
  outcomesOf,
  type StatementFacts,
} from '../../../packages/core/src/policy/outcome.ts'

import { mannerOf } from '../../../packages/core/src/sql/statement.ts'

type Manner = StatementFacts['manner']
type Protocol = StatementFacts['protocol']

const NOTHING_SAID = { code: undefined, routine: undefined, severity: undefined }
const PROTOCOLS: readonly Protocol[] = ['simple', 'extended']
const MANNERS: readonly Manner[] = ['never', 'at its end', 'as COMMIT', 'on its way', 'several']
/** The codes with which a server ends a session where it looks for interrupts. */
const ENDS = ['57P01', '57P05', '25P03', '25P04', '57P04', '40001']
/** As a server with `lc_messages` of Germany, Russia, Italy and China writes FATAL; and as one of England does. */
const FATALS = ['FATAL', 'ВАЖНО', 'FATALE', '致命错误']
const ERRORS = ['ERROR', 'FEHLER', 'ОШИБКА']

function factsOf(facts: Partial<StatementFacts>): StatementFacts {
  return { ...NOTHING_SAID, isComplete: false, protocol: 'simple', manner: 'at its end', ...facts }
}

const fatal = (code: string, severity = 'FATAL', routine = 'ProcessInterrupts'): Partial<StatementFacts> => ({
  code,
  severity,
  routine,
})

describe('a session that ends at a look for interrupts, before CommandComplete (windows a, f, h, m)', () => {
  test.each(ENDS.flatMap((code) => FATALS.map((severity) => [code, severity] as const)))(
    'with %s and the severity %s the statement is rolled back, and a COMMIT, too',
    (code, severity) => {
      for (const protocol of PROTOCOLS)
        for (const manner of ['at its end', 'as COMMIT'] as const)
          expect(outcomeOf(factsOf({ ...fatal(code, severity), protocol, manner }))).toBe('rolled-back')
    },
  )

  test.each(['ProcessRecoveryConflictInterrupt', 'ProcessRecoveryConflictInterrupts'])(
    '%s is such a look',
    (routine) => {
      expect(outcomeOf(factsOf(fatal('40001', 'FATAL', routine)))).toBe('rolled-back')
    },
  )

  test('another routine proves nothing', () => {
    for (const routine of [undefined, '', 'quickdie', 'secure_read', 'ProcessInterruptsX', 'InitPostgres'])
      for (const code of ENDS) expect(outcomeOf(factsOf({ code, severity: 'FATAL', routine }))).toBe('unknown')
  })

  test('another code proves nothing', () => {
    for (const code of ['57P02', '57P03', '08006', '08P01', 'XX000', '53200'])
      expect(outcomeOf(factsOf(fatal(code)))).toBe('unknown')
  })

  test('proves nothing of what commits on its way, and of several statements', () => {
    for (const manner of ['on its way', 'several'] as const)
      for (const code of ENDS)
        for (const protocol of PROTOCOLS)
          expect(outcomeOf(factsOf({ ...fatal(code), manner, protocol }))).toBe('unknown')
  })
})

describe('an error of the statement, before CommandComplete (windows a, l)', () => {
  test('a plain error rolls back', () => {
    expect(outcomeOf(factsOf({ code: '23505', severity: 'ERROR', routine: '_bt_check_unique' }))).toBe('rolled-back')
    expect(outcomeOf(factsOf({ code: '57P01', severity: 'ERROR', routine: 'ProcessInterrupts' }))).toBe('rolled-back')
  })

  test('a cancelled statement is rolled back, whatever the language', () => {
    for (const severity of ERRORS)
      expect(outcomeOf(factsOf({ code: '57014', severity, routine: 'ProcessInterrupts' }))).toBe('rolled-back')
  })

  test('an error without a routine is not known to be of a PostgreSQL', () => {
    expect(outcomeOf(factsOf({ code: 'XX000', severity: 'ERROR', routine: undefined }))).toBe('unknown')
  })

  test('a translated severity proves nothing by itself', () => {
    expect(outcomeOf(factsOf({ code: '23505', severity: 'FEHLER', routine: '_bt_check_unique' }))).toBe('unknown')
  })

  test('a server that says itself that it does not know is believed', () => {
    for (const code of ['40003', '08007'])
      for (const isComplete of [true, false])
        expect(outcomeOf(factsOf({ code, severity: 'ERROR', routine: 'ExecCommit', isComplete }))).toBe('unknown')
  })

  test('a procedure may have committed before its error', () => {
    expect(outcomeOf(factsOf({ code: '22012', severity: 'ERROR', routine: 'int4div', manner: 'on its way' }))).toBe(
      'unknown',
    )
  })
})

describe('after CommandComplete (windows c, e, f, g, o)', () => {
  const AFTERWARDS: readonly Partial<StatementFacts>[] = [
    NOTHING_SAID,
    fatal('57P01'),
    fatal('57P01', 'ВАЖНО'),
    fatal('25P04'),
    { code: '57014', severity: 'ERROR', routine: 'ProcessInterrupts' },
    { code: '57014', severity: 'FEHLER', routine: 'ProcessInterrupts' },
  ]

  test('in the simple protocol the statement is committed, whatever follows', () => {
    for (const after of AFTERWARDS)
      for (const manner of ['at its end', 'as COMMIT', 'on its way'] as const)
        expect(outcomeOf(factsOf({ ...after, isComplete: true, manner }))).toBe('committed')
  })

  test('a COMMIT is committed in the extended protocol, too', () => {
    for (const after of AFTERWARDS)
      expect(outcomeOf(factsOf({ ...after, isComplete: true, protocol: 'extended', manner: 'as COMMIT' }))).toBe(
        'committed',
      )
  })

  test('in the extended protocol the statement commits later, at Sync', () => {
    for (const after of AFTERWARDS)
      expect(outcomeOf(factsOf({ ...after, isComplete: true, protocol: 'extended' }))).toBe('unknown')
  })

  test('in the extended protocol an error at Sync rolls back: a deferred constraint', () => {
    const late = { code: '23503', severity: 'ERROR', routine: 'ri_ReportViolation', isComplete: true }
    expect(outcomeOf(factsOf({ ...late, protocol: 'extended' }))).toBe('rolled-back')
    expect(outcomeOf(factsOf({ ...late, severity: 'FEHLER', protocol: 'extended' }))).toBe('unknown')
  })

  test('of several statements the first one is complete, and the next may have failed', () => {
    for (const after of AFTERWARDS)
      for (const protocol of PROTOCOLS)
        expect(outcomeOf(factsOf({ ...after, isComplete: true, protocol, manner: 'several' }))).toBe('unknown')
  })
})

describe('without an error (windows b, d, i, j)', () => {
  test('the end of the connection proves nothing before CommandComplete', () => {
    for (const protocol of PROTOCOLS)
      for (const manner of ['at its end', 'as COMMIT', 'on its way', 'several'] as const)
        expect(outcomeOf(factsOf({ protocol, manner }))).toBe('unknown')
  })

  test('a notice of an immediate stop or a crash proves nothing', () => {
    for (const code of ['57P01', '57P02'])
      expect(outcomeOf(factsOf({ code, severity: 'WARNING', routine: 'quickdie' }))).toBe('unknown')
  })

  test('a notice from the wait for a synchronous standby comes after the commit', () => {
    for (const severity of ['WARNING', 'WARNUNG'])
      expect(outcomeOf(factsOf({ code: '57P01', severity, routine: 'SyncRepWaitForLSN' }))).toBe('committed')
  })

  test('what concerns only its session is gone with it, whatever was said', () => {
    for (const protocol of PROTOCOLS)
      for (const isComplete of [true, false])
        for (const said of [NOTHING_SAID, fatal('57P01'), { code: '08006', severity: undefined, routine: undefined }])
          expect(outcomeOf(factsOf({ ...said, protocol, isComplete, manner: 'never' }))).toBe('rolled-back')
  })
})

test('is never sure without a proof: only what the table names', () => {
  const messages = [
    NOTHING_SAID,
    ...['57P01', '57P02', '57014', '40001', '23505'].flatMap((code) =>
      ['ERROR', 'FATAL', 'PANIC', 'ВАЖНО', 'WARNING'].flatMap((severity) =>
        ['ProcessInterrupts', 'quickdie', 'exec_simple_query', undefined].map((routine) => ({
          code,
          severity,
          routine,
        })),
      ),
    ),
  ]
  const sure = messages.flatMap((said) =>
    PROTOCOLS.flatMap((protocol) =>
      MANNERS.flatMap((manner) =>
        [true, false]
          .map((isComplete) => factsOf({ ...said, protocol, manner, isComplete }))
          .filter((facts) => outcomeOf(facts) === 'rolled-back' && manner !== 'never'),
      ),
    ),
  )
  for (const { routine, severity, isComplete, protocol, manner } of sure) {
    expect(routine).toBeDefined()
    expect(['at its end', 'as COMMIT']).toContain(manner)
    if (isComplete) expect([protocol, severity, manner]).toEqual(['extended', 'ERROR', 'at its end'])
    else expect(routine === 'ProcessInterrupts' || severity === 'ERROR').toBe(true)
  }
})

describe('messages', () => {
  test('only a message with a severity is one of the server', () => {
    expect(messageFacts(new Error('read ECONNRESET'))).toEqual(NOTHING_SAID)
    expect(messageFacts(Object.assign(new Error(), { code: 'ECONNRESET' }))).toEqual(NOTHING_SAID)
    expect(messageFacts(undefined)).toEqual(NOTHING_SAID)
    const message = Object.assign(new Error('terminating'), fatal('57P01', 'ВАЖНО'))
    expect(messageFacts(message)).toEqual(fatal('57P01', 'ВАЖНО'))
  })

  test('a parallel worker that was terminated ends the statement, and not the session', () => {
    expect(isWorkersEnd(Object.assign(new Error(), fatal('57P01', 'ERROR')))).toBe(true)
    expect(isWorkersEnd(Object.assign(new Error(), fatal('57P01', 'FATAL')))).toBe(false)
    expect(isWorkersEnd(Object.assign(new Error(), fatal('57014', 'ERROR')))).toBe(false)
  })
})

describe('how a text commits', () => {
  test.each([
    'select 1',
    '  -- a comment\n insert into t values (1)',
    'update t set x = 1',
    'delete from t',
    'merge into t using s on t.i = s.i when matched then delete',
    'with x as (insert into t values (1) returning *) select * from x',
    'values (1)',
    'table t',
    'create table t (i int)',
    'create index i on t (x)',
    'create materialized view v as select 1',
    'refresh materialized view concurrently v',
    'alter table t add column c int',
    'drop table t',
    'truncate t',
    "notify x, 'y'",
    "select pg_notify('x', 'y')",
    'explain analyze insert into t values (1)',
    'execute p',
    'grant select on t to r',
  ])('%s: at its end', (text) => {
    expect(mannerOf(text, false)).toBe('at its end')
  })

  test.each(['commit', 'END', 'commit and chain', 'commit work'])('%s: as COMMIT', (text) => {
    expect(mannerOf(text, false)).toBe('as COMMIT')
  })

  test.each([
    '',
    ';',
    'begin',
    'start transaction isolation level serializable',
    'rollback',
    'abort',
    'rollback to s',
    'set search_path = a',
    'reset all',
    'show work_mem',
    'listen x',
    'unlisten *',
    'deallocate all',
    'discard all',
  ])('"%s": never', (text) => {
    expect(mannerOf(text, false)).toBe('never')
  })

  test.each([
    'call p()',
    'do $$ begin commit; end $$',
    'vacuum t',
    'analyze t',
    'cluster t',
    'reindex table t',
    'checkpoint',
    'create index concurrently i on t (x)',
    'create unique index concurrently "i" on t (x)',
    'drop index concurrently i',
    'alter table "t" detach partition "p" concurrently',
    'create database d',
    'drop database d',
    'alter database d set tablespace s',
    "create tablespace s location '/x'",
    "create subscription s connection '' publication p",
    'alter subscription s disable',
    "alter system set work_mem = '1MB'",
    "prepare transaction 'x'",
    "commit prepared 'x'",
    "rollback prepared 'x'",
    'copy t to stdout',
    "copy t from program 'x'",
    "select dblink_exec('c', 'insert into t values (1)')",
    'select pg_terminate_backend(pg_backend_pid())',
    'select PG_CATALOG.Pg_Terminate_Backend(1)',
    "select pg_logical_slot_get_changes('s', null, null)",
    "select pg_drop_replication_slot('s')",
    "select lo_export(1, '/x')",
    "load 'x'",
    'something new',
  ])('%s: on its way', (text) => {
    expect(mannerOf(text, false)).toBe('on its way')
  })

  test('two statements are several, unless the protocol allows only one', () => {
    expect(mannerOf('insert into t values (1); select 1', false)).toBe('several')
    expect(mannerOf('insert into t values (1); select 1', true)).toBe('at its end')
    expect(mannerOf("select 'it\\'; call p() --'", false)).toBe('several')
    expect(mannerOf("select 'it\\'; call p() --'", true)).toBe('several')
  })
})

describe('several statements under way', () => {
  const killed = Object.assign(new Error('terminating'), fatal('57P01'))
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  const own = { isQuestion: false, isComplete: false, protocol: 'simple' } as const
  const insert = 'insert into t values (1)'

  test('what is behind the statement that the server executed never began', () => {
    const underWay = { sent: [insert, insert], hasFailed: false, executing: own }
    expect(outcomesOf(killed, underWay)).toEqual(['rolled-back', 'never-ran'])
    expect(outcomesOf(reset, underWay)).toEqual(['unknown', 'unknown'])
  })

  test('behind a question of the pool nothing began', () => {
    const underWay = { sent: ['begin', insert], hasFailed: false, executing: { ...own, isQuestion: true } }
    expect(outcomesOf(killed, underWay)).toEqual(['rolled-back', 'never-ran'])
    expect(outcomesOf(reset, underWay)).toEqual(['rolled-back', 'unknown'])
  })

  test('what only a cursor knows is unknown, and so is a text that the driver alone has', () => {
    expect(outcomesOf(killed, { sent: [insert, insert], hasFailed: false, executing: undefined })).toEqual([
      'unknown',
      'never-ran',
    ])
    expect(outcomesOf(killed, { sent: [undefined], hasFailed: false, executing: own })).toEqual(['unknown'])
  })

  test('a statement that has failed was rolled back, unless it was several', () => {
    const failed = (text: string): unknown => outcomesOf(reset, { sent: [text], hasFailed: true, executing: undefined })
    expect(failed(insert)).toEqual(['rolled-back'])
    expect(failed(`${insert}; commit; select 1/0`)).toEqual(['unknown'])
    expect(failed('call p()')).toEqual(['unknown'])
  })

  test('together they are as certain as the least certain one', () => {
    expect(leastCertain([])).toBe('never-ran')
    expect(leastCertain(['never-ran', 'rolled-back'])).toBe('rolled-back')
    expect(leastCertain(['committed', 'rolled-back'])).toBe('committed')
    expect(leastCertain(['never-ran', 'unknown', 'committed'])).toBe('unknown')
  })
})
