import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { rolldown } from 'rolldown'
import { describe, expect } from 'vitest'
import { Cluster, type ClusterConfig, until } from '../support/index.ts'
import type { Awakening, Snapshot } from './programs/in-a-snapshot.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const run = promisify(execFile)

/**
 * What a pool sees that wakes up in a copy of its process: everything as it was, except the process id. In one
 * process for two, since Node takes no snapshot with an open socket in it ("global handle not serialized: TCP"), nor
 * after `node:tls` was loaded ("Unknown external reference"); a checkpoint or a cloned machine can't be had in a test.
 */
async function inAnotherProcess(): Promise<Disposable> {
  const { pid } = process
  const become = (value: number): void => void Object.defineProperty(process, 'pid', { value, configurable: true })
  become(pid + 1)
  // Another process doesn't begin within the same millisecond.
  const copiedAt = performance.now()
  await until(() => performance.now() - copiedAt > 2)
  return { [Symbol.dispose]: () => become(pid) }
}

/** Has Node take a snapshot of a process with a pool in it, and starts two processes from it, at once. */
async function awaken(task: Snapshot): Promise<Awakening[]> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-snapshot-'))
  try {
    const input = fileURLToPath(new URL('programs/in-a-snapshot.ts', import.meta.url))
    const [script, blob] = [path.join(directory, 'program.cjs'), path.join(directory, 'program.blob')]
    const bundle = await rolldown({ input, platform: 'node', logLevel: 'silent' })
    await bundle.write({ file: script, format: 'cjs', codeSplitting: false })
    await bundle.close()
    const node = (...args: string[]): Promise<{ stdout: string }> =>
      run(process.execPath, ['--snapshot-blob', blob, ...args], { env: { TASK: JSON.stringify(task) } })
    await settles(node('--build-snapshot', script), 'the snapshot')
    const awakened = await settles(Promise.all([node(), node()]), 'the processes')
    return awakened.map(({ stdout }) => JSON.parse(stdout))
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

describe('a process goes on as another one, with connections', () => {
  test('stock pg.Pool: a copied process talks on the session of the other one', async ({ proxy, proxied }) => {
    await using pool = new StockPool({ ...proxied, max: 1 })
    const [pid] = await warmUp(pool, 1)
    using _ = await inAnotherProcess()
    expect(await backendPid(pool)).toBe(pid)
    expect(proxy.accepted).toBe(1)
  })

  for (const { way, run: runStatement } of WAYS) {
    test(`Holdfast: a copied process sends not a byte to the old sessions, and opens its own, through ${way}`, async ({
      cluster,
      proxy,
      proxied,
    }) => {
      await using pool = holdfast({ ...proxied, max: 3, prePing: { idleMillis: 600_000 } })
      const oldPids = await warmUp(pool, 3)
      const { links } = proxy
      const sent = links.map((link) => link.bytesToServer)
      {
        using _ = await inAnotherProcess()
        const atOnce = Array.from({ length: 3 }, () => runStatement(pool, 'select pg_backend_pid() as pid'))
        for (const { rows } of await settles(Promise.all(atOnce), 'the statements')) {
          expect(oldPids).not.toContain(rows[0].pid)
        }
        expect(pool.status().pid).toBe(process.pid)
        const newPids = pool.inspect().map((each) => each.backendPid)
        await settles(pool.end(), 'end()')
        expect(newPids.filter((pid) => oldPids.includes(pid as number))).toEqual([])
      }
      expect(links.map((link) => link.bytesToServer)).toEqual(sent)
      const left = await cluster.sessions({ applicationName: proxied.application_name })
      expect(left.map(({ pid, state }) => [pid, state]).toSorted()).toEqual(
        oldPids.map((pid) => [pid, 'idle']).toSorted(),
      )
    })
  }

  test('Holdfast: a leased connection of another process frees its slot', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const pid = await backendPid(client)
    await client.query("begin; insert into entry values ('of the other process')")
    const [link] = proxy.links
    const sent = link?.bytesToServer
    {
      using _ = await inAnotherProcess()
      expect(await settles(backendPid(pool), 'the next statement')).not.toBe(pid)
      expect(await rejection(client.query('commit'))).toMatchObject({ name: 'ConnectionLostError', sent: false })
      client.release()
      await settles(pool.end(), 'end()')
    }
    expect(link?.bytesToServer).toBe(sent)
    expect(await cluster.sessions({ pid })).toMatchObject([{ state: 'idle in transaction' }])
  })

  test('Holdfast: maintenance notices by itself that this is another process', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, idleTimeoutMillis: 0 })
    const [pid] = await warmUp(pool, 1)
    {
      using _ = await inAnotherProcess()
      await until(() => pool.totalCount === 0)
    }
    expect(await cluster.countSessions({ pid: pid as number })).toBe(1)
    await cluster.terminateBackends({ pid: pid as number })
    await until(async () => (await cluster.countSessions({ pid: pid as number })) === 0)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('a pool in a start-up snapshot of V8', () => {
  const expectOwn = (awakened: Awakening[]): void => {
    for (const { pid, poolPid } of awakened) expect(poolPid).toBe(pid)
    expect(new Set(awakened.map(({ pid }) => pid)).size).toBe(2)
    expect(new Set(awakened.map((each) => each.backendPid)).size).toBe(2)
  }

  test('Holdfast: each process that starts from a snapshot of V8 has connections of its own', async ({ direct }) => {
    expectOwn(await awaken({ options: direct, hasWorked: false }))
  })

  test('Holdfast: each process from a snapshot has connections of its own also if the pool had worked before', async () => {
    // Once `node:tls` was loaded, Node takes no snapshot.
    await using cluster = await Cluster.start({ tls: false })
    const options: ClusterConfig = cluster.config()
    expectOwn(await awaken({ options, hasWorked: true }))
  })
})
