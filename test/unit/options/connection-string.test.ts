import { Client, type ClientConfig } from 'pg'
import { describe, expect, test } from 'vitest'
import { OptionsError } from '../../../packages/core/src/errors.ts'
import { readConnectionString } from '../../../packages/core/src/options/connection-string.ts'
import { Pool } from '../../../packages/core/src/pool.ts'

const SECRET = 'S3cretWord'

/** Where pg connects to with a connection string that we have read. */
function addressOf(text: string) {
  const read = readConnectionString(text)
  if ('problem' in read) throw new Error(read.problem)
  const { host, port, user, password, database } = new Client({ connectionString: read.url } as ClientConfig)
  return { host, port, user, password, database }
}

describe("a connection string of libpq's key words", () => {
  test.each([
    `host=db.example port=5433 dbname=app user=ada password=${SECRET}`,
    `  host = db.example   port = 5433 dbname = 'app' user='ada' password = '${SECRET}'  `,
    `host=db.example\nport=5433\ndbname=app\nuser=ada\npassword=${SECRET} connect_timeout=10`,
    `hostaddr=db.example port=5433 dbname=app user=ada password=${SECRET}`,
  ])('the key words of libpq are read as libpq reads them: %j', (text) => {
    expect(addressOf(text)).toEqual({
      host: 'db.example',
      port: 5433,
      user: 'ada',
      password: SECRET,
      database: 'app',
    })
  })

  test('the key words of libpq may have quoted values with any characters', () => {
    expect(
      addressOf(String.raw`host=/var/run dbname='my app+1' user='o\'hara' password='a b\\c@d/e?f#g%h+i&j=k'`),
    ).toEqual({
      host: '/var/run',
      port: 5432,
      user: "o'hara",
      password: String.raw`a b\c@d/e?f#g%h+i&j=k`,
      database: 'my app+1',
    })
  })

  test('the key words of libpq may have escaped characters without quotes', () => {
    expect(addressOf(String.raw`host=h user=a\ b password=\'x`)).toMatchObject({ user: 'a b', password: "'x" })
  })

  test('the key words of libpq reach the pool, whose options do not show the password', () => {
    const { options } = new Pool({ connectionString: `host=h port=5433 dbname=app user=ada password=${SECRET}` })
    expect(JSON.stringify(options)).not.toContain(SECRET)
    expect(options).toMatchObject({ host: 'h', port: 5433, user: 'ada', database: 'app' })
  })
})

describe('a URL or the path of a socket is passed to pg as it is', () => {
  test.each([
    'postgres://ada@db.example/app',
    'postgresql://ada:p%40ss@[::1]:5433/app?sslmode=verify-full',
    'postgres://db.example/app',
    'postgres:///app?host=/var/run/postgresql',
    'postgres:/app',
    'postgres://ada:p@/app?host=/var/run',
    'postgres://ada:a b%@db.example/app',
    'postgres://db.example/app?application_name=a@b&options=-c%20x=y',
    'pg://db.example',
    'custom+scheme://db.example/app',
    'socket:/var/run/?db=app&encoding=utf8',
    'socket://ada:x@/var/run/?db=app',
    '/var/run/postgresql app',
    '',
  ])('the URL or path of a socket %j is passed to pg as it is', (text) => {
    expect(readConnectionString(text)).toEqual({ url: text })
    new Client({ connectionString: text } as ClientConfig)
  })
})

describe('any other connection string is refused, and no part of it is repeated', () => {
  test.each([
    SECRET,
    `ada:${SECRET}@db.example/app`,
    `postgres:${SECRET}@db.example/app`,
    `db.example:5432/${SECRET}`,
    `ada ${SECRET}`,
    `host=h password='${SECRET}`,
    `host=h password=${SECRET}'`,
    `host=h pass word=${SECRET}`,
    `host=h ${SECRET}`,
    `host=h ${SECRET}=5`,
    `host=h service=${SECRET}`,
    `host=h passwort=${SECRET}`,
    `host=h dbname='${SECRET}?x'`,
    `jdbc:postgresql://ada:${SECRET}@h/app`.replace('://', ':/'),
    `postgres://ada:12/${SECRET}@db.example/app`,
    `postgres://ada:12?${SECRET}@db.example/app`,
    `postgres://ada:12#${SECRET}@db.example/app`,
    `postgres://ada:${SECRET}/x@db.example/app`,
    `postgres://ada:x@h1:5432,h2:${SECRET}/app`,
  ])('the connection string %j is refused, and no part of it is repeated', (connectionString) => {
    expect.assertions(3)
    try {
      new Pool({ connectionString })
    } catch (error) {
      expect(error).toBeInstanceOf(OptionsError)
      expect((error as Error).message).toContain('`connectionString`')
      expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain(SECRET)
    }
  })

  test('a connection string of many quotes, backslashes and blanks is read in linear time', () => {
    const long = `host=${"\\'".repeat(100_000)} ${' '.repeat(100_000)}x`
    expect(readConnectionString(long)).toHaveProperty('problem')
    expect(readConnectionString(`host='${'a\\'.repeat(100_000)}`)).toHaveProperty('problem')
  })
})

describe('a URL given as a name is refused, and not repeated', () => {
  const url = `postgres://ada:${SECRET}@db.example/app`

  test.each(['host', 'user', 'database'] as const)('a URL given as `%s` is refused, and not repeated', (option) => {
    expect(() => new Pool({ [option]: url })).toThrow(
      `\`${option}\` must not be a URL: that is what \`connectionString\` takes.`,
    )
  })

  test.each(['PGHOST', 'PGUSER', 'PGDATABASE'])('a URL in %s is refused, and not repeated', (variable) => {
    const before = process.env[variable]
    process.env[variable] = url
    try {
      expect(() => new Pool()).toThrow(`\`${variable}\` must not be a URL: that is what \`connectionString\` takes.`)
      expect(() => new Pool({ connectionString: 'postgres://h' })).not.toThrow()
      expect(() => new Pool({ host: 'h', user: 'u', database: 'd' })).not.toThrow()
    } finally {
      if (before === undefined) delete process.env[variable]
      else process.env[variable] = before
    }
  })
})
