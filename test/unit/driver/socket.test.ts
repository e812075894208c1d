import { once } from 'node:events'
import net from 'node:net'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { makeSocket } from '../../../packages/core/src/driver/socket.ts'

const opened: (net.Socket | net.Server)[] = []
afterEach(() => {
  for (const each of opened.splice(0)) each instanceof net.Socket ? each.destroy() : each.close()
})

interface Connected {
  /** The socket of ours. */
  readonly here: net.Socket
  /** The server's end of it. */
  readonly there: net.Socket
}

/** The two ends of a connection over loopback. */
async function connected(): Promise<Connected> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const here = makeSocket({}) as net.Socket
  here.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  const [[there]] = (await Promise.all([once(server, 'connection'), once(here, 'connect')])) as [[net.Socket], unknown]
  opened.push(server, here, there)
  return { here, there }
}

/** Bytes that show it when a part is missing or repeated. */
function bytesOf(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31) ^ (index >> 8)))
}

describe('a socket with a read buffer of its own', () => {
  test('a socket with its own read buffer emits chunks that later arrivals do not overwrite', async () => {
    const { here, there } = await connected()
    const received: Buffer[] = []
    here.on('data', (chunk) => received.push(chunk))
    there.write('first')
    await vi.waitFor(() => expect(received).toHaveLength(1))
    there.write('other')
    await vi.waitFor(() => expect(received).toHaveLength(2))
    expect(received.map(String)).toEqual(['first', 'other'])
  })

  test('a socket shares no memory with the read buffer of another one', () => {
    const read = vi.spyOn(Buffer, 'allocUnsafeSlow')
    try {
      makeSocket({})
      makeSocket({})
      const [first, second] = read.mock.results.map(({ value }) => value as Buffer)
      expect(first?.buffer).toBeInstanceOf(ArrayBuffer)
      expect(second?.buffer).not.toBe(first?.buffer)
    } finally {
      read.mockRestore()
    }
  })

  test.each([1, 2, 3])('a socket loses nothing when it is paused and resumed many times (seed %i)', async (seed) => {
    const { here, there } = await connected()
    const sent = bytesOf(3_000_000)
    const received: Buffer[] = []
    let state = seed
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return state % below
    }
    let isPaused = false
    here.on('data', (chunk) => {
      expect(isPaused).toBe(false)
      received.push(chunk)
      if (random(3) > 0) return
      here.pause()
      isPaused = true
      setTimeout(() => {
        isPaused = false
        here.resume()
      }, random(3))
    })
    const ended = once(here, 'end')
    for (let from = 0; from < sent.length; ) {
      const length = 1 + random(200_000)
      there.write(sent.subarray(from, from + length))
      from += length
      if (random(4) === 0) await turn()
    }
    there.end()
    await ended
    expect(Buffer.concat(received).equals(sent)).toBe(true)
  })

  test.each(['during an arrival', 'between two arrivals'])(
    'a socket delivers to a `readable` listener that replaces the `data` listener %s',
    async (when) => {
      const { here, there } = await connected()
      let received = ''
      function readOn(): void {
        here.removeListener('data', first)
        here.pause()
        here.on('readable', () => {
          received += here.read() ?? ''
        })
      }
      function first(chunk: Buffer): void {
        received += chunk
        if (when === 'during an arrival') readOn()
      }
      here.on('data', first)
      there.write('one')
      await vi.waitFor(() => expect(received).toBe('one'))
      await turn()
      if (when === 'between two arrivals') readOn()
      there.write('two')
      await vi.waitFor(() => expect(received).toBe('onetwo'))
    },
  )

  test('a socket keeps what arrives before a listener is added', async () => {
    const { here, there } = await connected()
    there.write('early')
    here.read(0)
    await vi.waitFor(() => expect(here.readableLength).toBe(5))
    const [chunk] = await once(here, 'data')
    expect(String(chunk)).toBe('early')
  })

  test('a socket can be iterated, piped and decoded like any stream', async () => {
    const sent = bytesOf(1_000_000)
    const ways = {
      async iterate(here: net.Socket) {
        const chunks: Buffer[] = []
        for await (const chunk of here) chunks.push(chunk)
        return Buffer.concat(chunks)
      },
      async pipe(here: net.Socket) {
        const chunks: Buffer[] = []
        const slow = new Writable({
          highWaterMark: 1000,
          write: (chunk, _encoding, done) => {
            chunks.push(chunk)
            setImmediate(done)
          },
        })
        await pipeline(here, slow)
        return Buffer.concat(chunks)
      },
      async decode(here: net.Socket) {
        let text = ''
        here.setEncoding('latin1').on('data', (part: string) => {
          text += part
        })
        await once(here, 'end')
        return Buffer.from(text, 'latin1')
      },
    }
    for (const way of Object.values(ways)) {
      const { here, there } = await connected()
      there.end(sent)
      expect((await way(here)).equals(sent)).toBe(true)
    }
  })
})
