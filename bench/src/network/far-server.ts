import { Cluster } from '@holdfast/test/support'
import { DelayingProxy } from './delaying-proxy.ts'

/** A server over TLS behind a slow connection. Disposing of it ends both. */
export class FarServer implements AsyncDisposable {
  readonly cluster: Cluster
  /** Leads to it. */
  readonly proxy: DelayingProxy

  private constructor(cluster: Cluster, proxy: DelayingProxy) {
    this.cluster = cluster
    this.proxy = proxy
  }

  /** Starts both; `prepare` makes what the benchmark needs there. */
  static async start(
    delayMillis: number,
    prepare: (cluster: Cluster) => Promise<unknown> = async () => {},
  ): Promise<FarServer> {
    const cluster = await Cluster.start()
    try {
      await prepare(cluster)
      const { host, port } = cluster // Only what can be sent to another process.
      return new FarServer(cluster, await DelayingProxy.start({ target: { host, port }, delayMillis }))
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]()
    await this.cluster[Symbol.asyncDispose]()
  }
}
