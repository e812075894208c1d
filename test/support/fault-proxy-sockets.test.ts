import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { FaultProxy, type Link, until } from './index.ts'

interface Ends {
  readonly proxy: FaultProxy
  readonly link: Link
  readonly client: net.Socket
  readonly server: net.Socket
}

/** Both ends of one connection through a proxy. What they receive is left unread. */
async function connected(): Promise<Ends> {
  const listener = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as net.AddressInfo
  const proxy = await FaultProxy.start({ host: '127.0.0.1', port })
  const opened = proxy.nextLink()
  const accepted = once(listener, 'connection') as Promise<[net.Socket]>
  const client = net.connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true })
  const [server] = await accepted
  onTestFinished(async () => {
    client.destroy()
    server.destroy()
    listener.close()
    await proxy[Symbol.asyncDispose]()
  })
  return { proxy, link: await opened, client, server }
}

async function received(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

test('the fault proxy passes an end on, and lets the other side finish what it has to say', async () => {
  const { link, client, server } = await connected()
  client.end('the question')
  expect((await received(server)).toString()).toBe('the question')
  await link.clientLeft
  server.end('the answer')
  expect((await received(client)).toString()).toBe('the answer')
  await link.closed
})

test('the fault proxy passes a reset of the server on to the client', async () => {
  const { link, client, server } = await connected()
  const broken = once(client, 'error')
  client.resume()
  server.resetAndDestroy()
  expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
  await link.closed
})

test('the fault proxy passes a reset of the client on to the server', async () => {
  const { link, client, server } = await connected()
  const broken = once(server, 'error')
  server.resume()
  client.resetAndDestroy()
  expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
  await link.closed
})

test('the fault proxy changes no byte, whatever the sizes of chunks and the delays', async () => {
  const { proxy, client, server } = await connected()
  const sent = randomBytes(3_000_000)
  const arriving = received(server)
  proxy.delay(1)
  for (let at = 0, size = 1; at < sent.length; at += size, size *= 3) client.write(sent.subarray(at, at + size))
  client.end()
  const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
  expect(hash(await arriving)).toBe(hash(sent))
})

for (const delayMillis of [0, Number.POSITIVE_INFINITY]) {
  test(`the fault proxy reads no more than it can get rid of (delay ${delayMillis})`, async () => {
    const { proxy, link, client, server } = await connected()
    proxy.delay(delayMillis)
    const sent = 64 * 1024 * 1024
    server.end(Buffer.alloc(sent))
    let before = -1
    let unchanged = 0
    await until(() => {
      unchanged = link.bytesToClient === before ? unchanged + 1 : 0
      before = link.bytesToClient
      return before > 0 && unchanged > 20
    })
    expect(link.bytesToClient).toBeLessThan(sent)
    await proxy.heal()
    expect((await received(client)).length).toBe(sent)
  })
}

test('the fault proxy swallows without end: a sender into a black hole is not slowed down', async () => {
  const { proxy, link, client, server } = await connected()
  let arrived = 0
  server.on('data', (chunk) => {
    arrived += chunk.length
  })
  proxy.swallow()
  client.end(Buffer.alloc(10_000_000))
  await until(() => link.bytesToServer === 10_000_000)
  await link.clientLeft
  expect(arrived).toBe(0)
  expect(server.readableEnded).toBe(false)
})
