import { expect, test } from 'vitest'
import { CONNECTION_CHECK, refusedParameterHint } from '../../../packages/core/src/policy/startup-parameter.ts'
import { serverError } from '../../support/fake-client.ts'

const CHECK = `-c ${CONNECTION_CHECK}=5000`

test.each<[message: string, sent: string, options: string, remedy: string]>([
  ['unsupported startup parameter: statement_timeout', '', '`statement_timeout`', 'set statement_timeout ='],
  ['unsupported startup parameter: lock_timeout', CHECK, '`lock_timeout`', 'set lock_timeout ='],
  ['unsupported startup parameter: options', CHECK, '`clientConnectionCheckMillis`', `set ${CONNECTION_CHECK} =`],
  ['unsupported startup parameter: options', '-c geqo=off', '`options`', 'set geqo ='],
  ['unsupported startup parameter: options', '--geqo=off', '`options`', 'set geqo ='],
  ['unsupported startup parameter: options', '-e', '`options`', 'set <setting> ='],
  [
    'unsupported startup parameter: options',
    `-c geqo=off ${CHECK}`,
    '`options` and `clientConnectionCheckMillis`',
    'set <setting> =',
  ],
  ['unsupported startup parameter in options: geqo', `-c geqo=off ${CHECK}`, '`options`', 'set geqo ='],
  [
    'unsupported startup parameter in options: client_connection_check_interval',
    CHECK,
    '`clientConnectionCheckMillis`',
    'set client_connection_check_interval =',
  ],
  ["unsupported options startup parameter: only '-c config=val' and", '-e', '`options`', 'set <setting> ='],
])('%s, with options "%s": %s, %s', (message, sent, options, remedy) => {
  const hint = refusedParameterHint(serverError('08P01', message, 'FATAL'), sent)
  expect(hint).toMatch(new RegExp(`^${options} can't be sent .* by alter role … ${remedy} …$`))
})

test.each([
  serverError('08P01', 'no such database: app', 'FATAL'),
  serverError('08P01', 'unsupported startup parameter: statement_timeout', 'ERROR'),
  new Error('unsupported startup parameter: statement_timeout'),
  undefined,
])('%s is no refused parameter', (error) => {
  expect(refusedParameterHint(error, CHECK)).toBeUndefined()
})
