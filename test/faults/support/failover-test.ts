import { test as base } from 'vitest'
import { Cluster, until } from '../../support/index.ts'

/** A primary and its standby, for one test: what happens here happens to a server once. */
export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('primary', async ({}, { onCleanup }) => {
    const primary = await Cluster.start()
    onCleanup(() => primary[Symbol.asyncDispose]())
    await primary.query('create table paid (id text)')
    await primary.query('grant all on paid to app')
    return primary
  })
  .extend('standby', async ({ primary }, { onCleanup }) => {
    const standby = await primary.standby()
    onCleanup(() => standby[Symbol.asyncDispose]())
    await until(async () => (await standby.query("select from pg_class where relname = 'paid'")).length === 1)
    return standby
  })
