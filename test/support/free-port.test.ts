import { once } from 'node:events'
import net from 'node:net'
import { expect, test } from 'vitest'
import { isPortTaken, listen, listenOnFreePort } from './free-port.ts'
import { freePort } from './index.ts'

test('freePort() finds a port that can be listened on, below the ones that systems hand out themselves', async () => {
  const port = await freePort()
  expect(port).toBeGreaterThanOrEqual(10_000)
  expect(port).toBeLessThan(32_768)
  const server = net.createServer()
  await listen(server, port)
  server.close()
  await once(server, 'close')
})

test('isPortTaken() says that a port is taken', async () => {
  const first = net.createServer()
  const port = await listenOnFreePort(first)
  await expect(listen(net.createServer(), port)).rejects.toSatisfy(isPortTaken)
  first.close()
  await once(first, 'close')
})
