import { test as base } from '../../faults/support/fault-test.ts'
import { AimedProxy, type ClusterConfig } from '../../support/index.ts'

/** With a proxy that breaks a connection at one message, and the way through it. */
export const test = base
  .extend('aimed', async ({ cluster }, { onCleanup }) => {
    const proxy = await AimedProxy.start(cluster)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })
  .extend('aimedAt', ({ aimed, direct }): ClusterConfig & { application_name: string } => aimed.config(direct))
