import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import connectPgSimple from 'connect-pg-simple'
import express from 'express'
import session from 'express-session'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { warmUp } from '../faults/support/pools.ts'
import { settles } from '../faults/support/settling.ts'
import { unnoticed } from '../faults/support/unnoticed.ts'
import { type Cluster, type FaultProxy, until } from '../support/index.ts'
import { HOLDFAST, LIBRARIES, STOCK } from './support/libraries.ts'

declare module 'express-session' {
  interface SessionData {
    visits: number
  }
}

const BROWSERS = 4

type SessionStore = InstanceType<ReturnType<typeof connectPgSimple>>

/** An Express application that counts how often each browser came, in sessions that are kept in Postgres. */
class Site implements AsyncDisposable {
  readonly #server: Server
  readonly #store: SessionStore

  private constructor(server: Server, store: SessionStore) {
    this.#server = server
    this.#store = store
  }

  /** Opens a site with sessions of its own. */
  static async open(pool: pg.Pool, schemaName: string): Promise<Site> {
    await pool.query(`create schema ${schemaName}`)
    const PgSession = connectPgSimple(session)
    const store = new PgSession({ pool, schemaName, createTableIfMissing: true, pruneSessionInterval: false })
    const app = express()
    app.set('env', 'test') // Express writes no error to the log then, but answers with 500 all the same.
    app.use(session({ store, secret: 'not a secret', resave: false, saveUninitialized: true }))
    app.get('/', ({ session }, response) => {
      session.visits = (session.visits ?? 0) + 1
      response.json(session.visits)
    })
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Site(server, store)
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#store.close()
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** A browser that keeps the session's cookie. */
class Browser {
  readonly #url: string
  #cookie = ''

  constructor(url: string) {
    this.#url = url
  }

  /** Loads the page. Returns the status, and how often the site says that this browser has loaded it. */
  async load(): Promise<{ status: number; loads: unknown }> {
    const response = await fetch(this.#url, { headers: { cookie: this.#cookie } })
    this.#cookie ||= response.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    const text = await response.text()
    return { status: response.status, loads: response.ok ? JSON.parse(text) : text }
  }
}

/** Browsers that have loaded the page once. */
async function openBrowsers(site: Site): Promise<Browser[]> {
  const all = Array.from({ length: BROWSERS }, () => new Browser(site.url))
  expect(await loadInAll(all)).toEqual(everyLoad(1))
  return all
}

function everyLoad(loads: number): unknown[] {
  return Array(BROWSERS).fill({ status: 200, loads })
}

function loadInAll(all: readonly Browser[]): Promise<{ status: number; loads: unknown }[]> {
  return settles(Promise.all(all.map((browser) => browser.load())), 'the pages')
}

/** Loads the page in all browsers after a restart of the server that the pool hasn't noticed. */
async function loadAfterRestart(
  pool: pg.Pool,
  browsers: readonly Browser[],
  { cluster, proxy }: { readonly cluster: Cluster; readonly proxy: FaultProxy },
): Promise<{ status: number; loads: unknown }[]> {
  await warmUp(pool, BROWSERS)
  const letNewsArrive = await unnoticed(proxy, () => cluster.restart())
  const pages = loadInAll(browsers)
  await until(() => pool.idleCount === 0, { what: 'all requests to have reached the database' })
  letNewsArrive()
  return pages
}

describe.each(LIBRARIES)('connect-pg-simple on $library', ({ library, open }) => {
  test('connect-pg-simple keeps sessions in the database', async ({ cluster, direct }) => {
    await using pool = open(direct)
    const schema = `kept_by_${library.toLowerCase().replace(/\W/g, '_')}`
    await using site = await Site.open(pool, schema)
    const browser = new Browser(site.url)
    expect(await browser.load()).toEqual({ status: 200, loads: 1 })
    expect(await browser.load()).toEqual({ status: 200, loads: 2 })
    expect(await new Browser(site.url).load()).toEqual({ status: 200, loads: 1 })
    const sessions = await cluster.query(`select (sess->>'visits')::int as visits from ${schema}.session order by 1`)
    expect(sessions).toEqual([{ visits: 1 }, { visits: 2 }])
  })
})

describe('connect-pg-simple on pg.Pool', () => {
  const { open } = STOCK

  test('connect-pg-simple on pg.Pool answers with an error after a restart', async ({ cluster, proxy, proxied }) => {
    await using pool = open({ ...proxied, max: BROWSERS })
    await using site = await Site.open(pool, 'restarted_under_stock')
    const all = await openBrowsers(site)
    const pages = await loadAfterRestart(pool, all, { cluster, proxy })
    expect(pages.map(({ status }) => status)).toContain(500)
  })

  test('connect-pg-simple on pg.Pool answers with an error while the server is away', async ({ cluster, direct }) => {
    await using pool = open(direct)
    await using site = await Site.open(pool, 'away_under_stock')
    const all = await openBrowsers(site)
    await cluster.stop()
    const pages = await loadInAll(all)
    await cluster.start()
    expect(pages.map(({ status }) => status)).toContain(500)
  })
})

describe('connect-pg-simple on Holdfast', () => {
  const { open } = HOLDFAST

  test('connect-pg-simple on Holdfast answers all browsers after a restart', async ({ cluster, proxy, proxied }) => {
    await using pool = open({ ...proxied, max: BROWSERS })
    await using site = await Site.open(pool, 'restarted')
    const all = await openBrowsers(site)
    expect(await loadAfterRestart(pool, all, { cluster, proxy })).toEqual(everyLoad(2))
    expect(await loadInAll(all)).toEqual(everyLoad(3))
    expect(await cluster.query("select distinct (sess->>'visits')::int as visits from restarted.session")).toEqual([
      { visits: 3 },
    ])
  })

  test('connect-pg-simple on Holdfast answers late when the server is back', async ({ cluster, direct }) => {
    await using pool = open(direct)
    await using site = await Site.open(pool, 'away')
    const all = await openBrowsers(site)
    await cluster.stop()
    const pages = loadInAll(all)
    await cluster.start()
    expect(await pages).toEqual(everyLoad(2))
  })
})
