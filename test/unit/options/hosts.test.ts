import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { OptionsError } from '../../../packages/core/src/errors.ts'
import { leadingTo } from '../../../packages/core/src/options/hosts.ts'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/resolved-options.ts'
import { Pool } from '../../../packages/core/src/pool.ts'
import { driverAddress } from './driver-address.ts'

const VARIABLES = ['PGHOST', 'PGPORT', 'PGTARGETSESSIONATTRS', 'PGLOADBALANCEHOSTS']

beforeEach(() => {
  for (const name of VARIABLES) vi.stubEnv(name, undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
})

function hostsOf(options: PoolOptions): string[] {
  return resolveOptions(options).hosts.map(({ host, port }) => `${host} ${port}`)
}

function problemsOf(options: PoolOptions): readonly string[] {
  try {
    resolveOptions(options)
  } catch (error) {
    if (error instanceof OptionsError) return error.problems
  }
  return []
}

const url = (connectionString: string): PoolOptions => ({ connectionString })

describe('a list of hosts', () => {
  test.each<[string, PoolOptions, string[]]>([
    ['a URL with ports', url('postgres://ada:p@h1:5433,h2:5434/app'), ['h1 5433', 'h2 5434']],
    ['a URL without ports', url('postgresql://h1,h2/app?application_name=a'), ['h1 5432', 'h2 5432']],
    ['a URL where one host has a port', url('postgres://h1,h2:5433'), ['h1 5432', 'h2 5433']],
    ['a URL with IPv6 in brackets', url('postgres://ada@[::1]:5433,[fe80::2]/app'), ['::1 5433', 'fe80::2 5432']],
    ['a URL with sockets', url('postgres://%2Fvar%2Frun,h2:5433/app'), ['/var/run 5432', 'h2 5433']],
    ['parameters of a URL', url('postgres:///app?host=h1,h2&port=5433,5434'), ['h1 5433', 'h2 5434']],
    ['key words with one port for all', url('host=h1,h2 port=5433 dbname=app'), ['h1 5433', 'h2 5433']],
    ['key words with a port for each', url("host=/tmp,::1 port='5433,5434'"), ['/tmp 5433', '::1 5434']],
    ['a text with commas', { host: 'h1, h2', port: '5433,5434' }, ['h1 5433', 'h2 5434']],
    ['arrays', { host: ['h1', '[::1]'], port: [5433, '5434'] }, ['h1 5433', '::1 5434']],
    ['an array and one port', { host: ['h1', 'h2'], port: 5433 }, ['h1 5433', 'h2 5433']],
    ['one host with two ports', { host: ['h1', 'h1'], port: [5433, 5434] }, ['h1 5433', 'h1 5434']],
    ['`hosts`', { hosts: [{ host: 'h1' }, { host: 'h2', port: 5433 }] }, ['h1 5432', 'h2 5433']],
    ['`hosts` of one', { hosts: [{ host: 'h1', port: 5433 }] }, ['h1 5433']],
    ['`hosts` and `port`', { hosts: [{ host: 'h1' }, { host: 'h2' }], port: 5433 }, ['h1 5433', 'h2 5433']],
    [
      '`hosts` in place of those of a URL',
      { ...url('postgres://ada@h/app'), hosts: [{ host: 'h1' }, { host: 'h2' }] },
      ['h1 5432', 'h2 5432'],
    ],
    ['an empty name, which is the default', { host: 'h1,' }, ['h1 5432', 'localhost 5432']],
  ])('is read from %s', (_what, options, hosts) => {
    expect(hostsOf(options)).toEqual(hosts)
  })

  test('is read from PGHOST and PGPORT, unless an option says where the servers are', () => {
    vi.stubEnv('PGHOST', 'h1,h2')
    expect(hostsOf({})).toEqual(['h1 5432', 'h2 5432'])
    vi.stubEnv('PGPORT', '5433,5434')
    expect(hostsOf({})).toEqual(['h1 5433', 'h2 5434'])
    expect(hostsOf({ host: 'a,b', port: 1 })).toEqual(['a 1', 'b 1'])
    expect(hostsOf(url('postgres://h:5432/app'))).toEqual([])
  })

  test.each<[PoolOptions]>([
    [{}],
    [{ host: 'h1', port: 5433 }],
    [{ host: ['h1'], port: [5433] }],
    [url('postgres://ada:a,b@h1:5433/a,b?options=-c%20a=b,c')],
    [url('postgres://ada:a b%@/app')],
    [url('/var/run app')],
    [url('socket:/var/run/?db=app')],
  ])('of one host is left to the driver: %j', (options) => {
    expect(hostsOf(options)).toEqual([])
  })

  test.each<[PoolOptions, RegExp]>([
    [
      { host: 'h1,h2', port: '1,2,3' },
      /`port` must be one for all hosts, or one for each: there are 3 ports for 2 hosts/,
    ],
    [{ host: 'h1', port: [1, 2] }, /there are 2 ports for 1 hosts/],
    [{ host: ['h1', 'h2'], port: 0 }, /`port` must be a number from 1 to 65535/],
    [{ host: ['h1', 'h2'], port: [1, Number.NaN] }, /`port` must be a number from 1 to 65535/],
    [url('postgres://h1:1,h2:x/app'), /`connectionString`: a port must be a number from 1 to 65535/],
    [{ host: ['h1:5432', 'h2'] }, /`host` must not contain a port/],
    [
      { host: ['postgres://ada:S3cret@h1', 'h2'] },
      /^`host` must not be a URL: that is what `connectionString` takes\.$/,
    ],
    [{ host: [] }, /`host` must be a name or an address, or a list of them/],
    [{ host: [5 as never, 'h'] }, /`host` must be a name/],
    [{ hosts: [] }, /`hosts` must be a list of \{ host, port \}/],
    [{ hosts: 'h1,h2' as never }, /`hosts` must be a list/],
    [{ hosts: [{ host: '' }] }, /`hosts` must be a list/],
    [{ hosts: [{ host: 'h', port: 70_000 }] }, /`hosts.port` must be a number from 1 to 65535/],
    [
      { ...url('/var/run app'), hosts: [{ host: 'h' }] },
      /`hosts` must be absent if `connectionString` is the path of a socket/,
    ],
    [{ targetSessionAttrs: 'master' as never }, /`targetSessionAttrs` must be one of 'any', 'read-write'/],
    [url('postgres://h/app?target_session_attrs=rw'), /`targetSessionAttrs` must be one of/],
    [{ loadBalanceHosts: true as never }, /`loadBalanceHosts` must be one of false, 'random', 'round-robin'/],
    [{ hostRecheckMillis: -1 }, /`hostRecheckMillis` must be a number from 0 on/],
    [{ hostPatienceMillis: 0 }, /`hostPatienceMillis` must be a number from 1 on/],
  ])("that can't work is refused: %j", (options, problem) => {
    expect(problemsOf(options)).toEqual([expect.stringMatching(problem)])
  })

  test('is refused without a part of the password', () => {
    const problems = problemsOf(url('postgres://ada:S3cret@h1:1,h2:99999/S3cret')).join()
    expect(problems).not.toBe('')
    expect(problems).not.toContain('S3cret')
  })
})

describe('the words of libpq', () => {
  test('say which servers suit, in the URL, the options or the environment', () => {
    expect(resolveOptions({}).targetSessionAttrs).toBe('any')
    vi.stubEnv('PGTARGETSESSIONATTRS', 'standby')
    expect(resolveOptions({}).targetSessionAttrs).toBe('standby')
    expect(resolveOptions({ targetSessionAttrs: 'read-only' }).targetSessionAttrs).toBe('read-only')
    const written = url('postgres://h1,h2/app?target_session_attrs=read-write')
    expect(resolveOptions({ ...written, targetSessionAttrs: 'any' }).targetSessionAttrs).toBe('read-write')
    expect(resolveOptions(url('host=h target_session_attrs=prefer-standby')).targetSessionAttrs).toBe('prefer-standby')
  })

  test('say whether the hosts share the connections', () => {
    expect(resolveOptions({}).loadBalanceHosts).toBe(false)
    expect(resolveOptions(url('postgres://h1,h2/app?load_balance_hosts=random')).loadBalanceHosts).toBe('random')
    vi.stubEnv('PGLOADBALANCEHOSTS', 'disable')
    expect(resolveOptions({}).loadBalanceHosts).toBe(false)
    expect(resolveOptions({ loadBalanceHosts: 'round-robin' }).loadBalanceHosts).toBe('round-robin')
  })
})

describe('the options of a client for one host', () => {
  const own = { host: 'h2', port: 5433 }

  test.each<[string, string, object]>([
    ['postgres://ada:p%40@h1:1,h2:2/app?options=-c%20a=b', 'p@', { user: 'ada', database: 'app', options: '-c a=b' }],
    ['postgresql://ada:p@[::1]:1,[::2]/app', 'p', { user: 'ada', database: 'app' }],
    ['postgres://ada:p@/app?host=h1,h2&port=1,2', 'p', { user: 'ada', database: 'app' }],
    ['postgres://ada:p@h1,h2', 'p', { user: 'ada', database: 'ada' }],
    ['postgres://%2Fvar,%2Frun/app?user=ada&password=p', 'p', { user: 'ada', database: 'app' }],
  ])('keep the other parts of %j', (connectionString, password, parts) => {
    expect(driverAddress(leadingTo({ connectionString }, own))).toMatchObject({ ...own, ...parts, password })
    expect(driverAddress(leadingTo({ connectionString }, { ...own, password: 'q' }))).toMatchObject({
      ...own,
      ...parts,
      password: 'q',
    })
  })

  test('have its own password, which a function may return, and its own TLS', () => {
    const connectionString = 'postgres://ada:p@h1,h2/app?sslmode=disable'
    const password = (): string => 'q'
    const ssl = { rejectUnauthorized: false }
    const address = driverAddress(leadingTo({ connectionString, password: 'o' } as object, { ...own, password, ssl }))
    // The connector gives such a function to the client.
    expect(address).toMatchObject({ ...own, user: 'ada', ssl })
  })
})

test('the options of a pool show one host, and lead another pool to all of them', () => {
  const { options } = new Pool({ connectionString: 'postgres://ada:S3cret@h1:1,h2:2/app' })
  expect(options).toMatchObject({ host: 'h1', port: 1, user: 'ada', database: 'app' })
  expect(JSON.stringify(options)).not.toContain('S3cret')
  expect(hostsOf({ ...options })).toEqual(['h1 1', 'h2 2'])
})

test('the passwords of hosts are not shown', () => {
  const { options } = new Pool({ hosts: [{ host: 'h1', password: 'S3cret' }, { host: 'h2' }] })
  expect(JSON.stringify(options)).not.toContain('S3cret')
  expect(resolveOptions({ ...options } as PoolOptions).hosts[0]?.password).toBe('S3cret')
})
