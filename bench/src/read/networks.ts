import { Cluster } from '@holdfast/test/support'
import type { ClientConfig } from 'pg'
import { FarServer } from '../network/far-server.ts'
import { makeTables } from './statements.ts'

/** What the slow network takes each way. */
export const DELAY_MILLIS = 1

/** How a server is reached. */
export interface Network {
  readonly name: 'loopback' | `${typeof DELAY_MILLIS} ms each way`
  readonly config: ClientConfig
}

/** Servers with the tables, on networks. Disposing of it ends them. */
export class Networks implements AsyncDisposable {
  readonly all: readonly Network[]
  readonly #servers: readonly AsyncDisposable[]

  private constructor(all: readonly Network[], servers: readonly AsyncDisposable[]) {
    this.all = all
    this.#servers = servers
  }

  /** A server on loopback, and one over TLS on a slow network. */
  static async start(): Promise<Networks> {
    const near = await Cluster.start({ tls: false })
    try {
      await makeTables(near)
      const far = await FarServer.start(DELAY_MILLIS, makeTables)
      return new Networks([{ name: 'loopback', config: near.config() }, slow(far)], [far, near])
    } catch (error) {
      await near[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Only the slow network. */
  static async startSlow(): Promise<Networks> {
    const far = await FarServer.start(DELAY_MILLIS, makeTables)
    return new Networks([slow(far)], [far])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server[Symbol.asyncDispose]()
  }
}

function slow({ cluster, proxy }: FarServer): Network {
  return { name: `${DELAY_MILLIS} ms each way`, config: cluster.config(proxy.address) }
}
