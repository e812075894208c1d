import { once } from 'node:events'
import net from 'node:net'
import { PassThrough, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { readDirectly } from '../../../packages/core/src/driver/direct-read.ts'
import { makeSocket } from '../../../packages/core/src/driver/socket.ts'

const KINDS = [
  { kind: 'a socket of Node', make: () => new net.Socket() },
  { kind: 'a socket of ours', make: () => makeSocket({}) as net.Socket },
]

const opened: (net.Socket | net.Server)[] = []
afterEach(() => {
  for (const each of opened.splice(0)) each instanceof net.Socket ? each.destroy() : each.close()
})

/** The two ends of a connection over loopback; `here` is read directly from the moment it is connected. */
async function connected(make: () => net.Socket): Promise<{ here: net.Socket; there: net.Socket }> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const here = make()
  here.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  const [[there]] = (await Promise.all([once(server, 'connection'), once(here, 'connect')])) as [[net.Socket], unknown]
  opened.push(server, here, there)
  readDirectly(here)
  return { here, there }
}

/** Bytes that differ from place to place. */
function bytesOf(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31) ^ (index >> 8)))
}

describe.each(KINDS)('$kind, read directly', ({ make }) => {
  test('hands on what arrives, and does not look for more', async () => {
    const { here, there } = await connected(make)
    const received: Buffer[] = []
    here.on('data', (chunk) => received.push(chunk))
    await turn()
    const read = vi.spyOn(here, 'read')
    for (const text of ['one', 'two', 'three']) {
      there.write(text)
      await vi.waitFor(() => expect(Buffer.concat(received).toString()).toMatch(new RegExp(`${text}$`)))
      await turn()
    }
    expect(read).not.toHaveBeenCalled()
  })

  test('gives each arrival its own memory', async () => {
    const { here, there } = await connected(make)
    const received: Buffer[] = []
    here.on('data', (chunk) => received.push(chunk))
    there.write('first')
    await vi.waitFor(() => expect(received).toHaveLength(1))
    there.write('other')
    await vi.waitFor(() => expect(received).toHaveLength(2))
    expect(received.map(String)).toEqual(['first', 'other'])
  })

  test.each([1, 2, 3])('loses nothing when it is paused and resumed again and again (%i)', async (seed) => {
    const { here, there } = await connected(make)
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

  test.each(['within an arrival', 'between two'])('goes on for who reads on in another way, from %s', async (when) => {
    const { here, there } = await connected(make)
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
      if (when === 'within an arrival') readOn()
    }
    here.on('data', first)
    there.write('one')
    await vi.waitFor(() => expect(received).toBe('one'))
    await turn()
    if (when === 'between two') readOn()
    there.write('two')
    await vi.waitFor(() => expect(received).toBe('onetwo'))
  })

  test('keeps what comes before anybody listens', async () => {
    const { here, there } = await connected(make)
    there.write('early')
    here.read(0)
    await vi.waitFor(() => expect(here.readableLength).toBe(5))
    const [chunk] = await once(here, 'data')
    expect(String(chunk)).toBe('early')
  })

  test('can be read in every other way that a stream is', async () => {
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
      const { here, there } = await connected(make)
      there.end(sent)
      expect((await way(here)).equals(sent)).toBe(true)
    }
  })
})

test('a socket that reads in a way of its own is left alone: Node looks for more after each arrival', async () => {
  class OwnSocket extends net.Socket {
    override _read(size: number): void {
      super._read(size)
    }
  }
  const { here, there } = await connected(() => new OwnSocket())
  here.on('data', () => {})
  await turn()
  const read = vi.spyOn(here, 'read')
  there.write('one')
  await vi.waitFor(() => expect(read).toHaveBeenCalled())
})

test('a socket that is pushed to in a way of its own is left alone', async () => {
  let pushed = 0
  class OwnSocket extends net.Socket {
    override push(chunk: unknown, encoding?: BufferEncoding): boolean {
      pushed += (chunk as Buffer | null)?.length ?? 0
      return super.push(chunk, encoding)
    }
  }
  const { here, there } = await connected(() => new OwnSocket())
  here.on('data', () => {})
  there.write('one')
  await vi.waitFor(() => expect(pushed).toBe(3))
})

test('a stream that reads when it is asked is left alone', () => {
  const stream = new PassThrough()
  readDirectly(stream)
  expect(Object.hasOwn(stream, 'push')).toBe(false)
})
