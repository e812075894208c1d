import pg from 'pg'
import type { Cluster } from '../../support/index.ts'

/** Counts the sessions of a service again and again, by the server's own word. Their names begin with `prefix`. */
export class Census implements AsyncDisposable {
  /** The most that were there at once. */
  most = 0
  looks = 0
  readonly #client: pg.Client
  readonly #counted: Promise<void>
  #isOver = false

  private constructor(client: pg.Client, prefix: string) {
    this.#client = client
    this.#counted = this.#count(prefix)
  }

  static async begin(cluster: Cluster, prefix: string): Promise<Census> {
    const client = new pg.Client(cluster.config({ application_name: 'census' }))
    await client.connect()
    return new Census(client, prefix)
  }

  async #count(prefix: string): Promise<void> {
    while (!this.#isOver) {
      const { rows } = await this.#client.query(
        'select count(*)::int as count from pg_stat_activity where application_name like $1',
        [`${prefix}%`],
      )
      this.looks++
      this.most = Math.max(this.most, rows[0].count)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#counted
    await this.#client.end()
  }
}
