import { once } from 'node:events'
import { FaultProxy } from '@holdfast/test/support'
import type { ProxyCommand } from './delaying-proxy.ts'

// The process of the slow network. It ends when the bench disconnects from it, or ends.

// Ctrl-C reaches the whole group of processes. The bench decides when this one ends.
process.on('SIGINT', () => {})

const [command] = (await once(process, 'message')) as [ProxyCommand]
const proxy = await FaultProxy.start(command.target)
proxy.delay(command.delayMillis)
process.once('disconnect', () => void proxy[Symbol.asyncDispose]())
process.send?.({ host: proxy.host, port: proxy.port })
