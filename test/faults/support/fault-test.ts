import { test as base } from 'vitest'
import { Cluster, type ClusterConfig, FaultProxy } from '../../support/index.ts'

let lastName = 0

/**
 * A test with a real server (one per file), a proxy in front of it (one per test), and a name by which its sessions
 * can be distinguished from those of other tests.
 */
export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    await cluster.withAdmin(async (admin) => {
      await admin.query('create table entry (id text primary key)')
      await admin.query('grant all on entry to app')
    })
    return cluster
  })
  .extend('proxy', async ({ cluster }, { onCleanup }) => {
    const proxy = await FaultProxy.start(cluster)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })
  .extend('applicationName', () => `fault-test-${++lastName}`)
  /** Leads straight to the server. */
  .extend('direct', ({ cluster, applicationName }) => cluster.config({ application_name: applicationName }))
  /** Leads to the server through the proxy. */
  .extend('proxied', ({ proxy, direct }): ClusterConfig & { application_name: string } => proxy.config(direct))
