import { expect, test } from 'vitest'
import { factsOf } from '../../../packages/core/src/policy/sqlstate.ts'

test.each([
  { code: '57P01', name: 'admin_shutdown', facts: { disconnect: true, connectAgain: true } },
  { code: '57P02', name: 'crash_shutdown', facts: { disconnect: true, endsAll: true, connectAgain: true } },
  {
    code: '57P03',
    name: 'cannot_connect_now',
    facts: { endsAll: true, connectAgain: true, refuses: 'no server', retryTransaction: true },
  },
  {
    code: '53300',
    name: 'too_many_connections',
    facts: { connectAgain: true, refuses: 'full', retryTransaction: true },
  },
  {
    code: '57P05',
    name: 'idle_session_timeout',
    facts: { disconnect: true, ownFault: true, connectAgain: true },
  },
  { code: '25P03', name: 'idle_in_transaction_session_timeout', facts: { disconnect: true, ownFault: true } },
  { code: '25P04', name: 'transaction_timeout', facts: { disconnect: true, ownFault: true } },
  { code: '08P01', name: 'protocol_violation', facts: { disconnect: true, ownFault: true } },
  { code: '25006', name: 'read_only_sql_transaction', facts: { endsAll: true } },
  { code: '57P04', name: 'database_dropped', facts: { disconnect: true, endsAll: true } },
  { code: '40001', name: 'serialization_failure', facts: { retryTransaction: true } },
  { code: '40P01', name: 'deadlock_detected', facts: { retryTransaction: true } },
  { code: '08006', name: 'connection_failure', facts: { disconnect: true, connectAgain: true } },
  { code: '40003', name: 'statement_completion_unknown', facts: {} },
  { code: '23505', name: 'unique_violation', facts: {} },
  { code: '28P01', name: 'invalid_password', facts: {} },
  { code: '3D000', name: 'invalid_catalog_name', facts: {} },
  { code: 'ECONNREFUSED', name: 'nobody listens', facts: { connectAgain: true, refuses: 'no server' } },
  { code: 'ECONNRESET', name: 'cut', facts: { disconnect: true, connectAgain: true, refuses: 'closed' } },
  { code: 'ETIMEDOUT', name: 'no answer', facts: { disconnect: true, connectAgain: true } },
  { code: 'ENOENT', name: 'no such Unix socket', facts: { connectAgain: true, refuses: 'no server' } },
  { code: 'ENOTFOUND', name: 'unknown host', facts: {} },
  {
    code: 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
    name: 'damaged record',
    facts: { disconnect: true, connectAgain: true },
  },
  { code: 'CERT_HAS_EXPIRED', name: 'bad certificate', facts: {} },
  { code: undefined, name: 'no code', facts: {} },
])('the table knows of $code ($name): $facts', ({ code, facts }) => {
  expect(factsOf(code)).toEqual(facts)
})
