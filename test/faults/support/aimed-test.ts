import { AimedProxy, type ClusterConfig } from '../../support/index.ts'
import { test as base } from './fault-test.ts'

/** A {@link base} test whose proxy sees statements, and can act upon one. */
export const test = base
  .extend('aimed', async ({ cluster }, { onCleanup }) => {
    const proxy = await AimedProxy.start(cluster)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })
  /** Leads to the server through that proxy. */
  .extend('aimedAt', ({ aimed, direct }): ClusterConfig & { application_name: string } => aimed.config(direct))
