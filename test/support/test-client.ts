import pg from 'pg'

/** A stock client that records the errors that a program without an `error` listener would die of. */
export class TestClient extends pg.Client implements AsyncDisposable {
  /** What the `error` event was emitted with, while no query was running or because of it. */
  readonly errors: Error[] = []

  constructor(config: pg.ClientConfig) {
    super(config)
    this.on('error', (error) => this.errors.push(error))
  }

  /** Lets go of the socket without a word: the other side may be one that never answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.stream.destroy()
  }
}

/** A connected {@link TestClient}. */
export async function connect(config: pg.ClientConfig): Promise<TestClient> {
  const client = new TestClient(config)
  await client.connect()
  return client
}
