import { once } from 'node:events'
import { FaultProxy } from '@holdfast/test/support'
import type { ProxyCommand } from './delaying-proxy.ts'

// The process of the slow network. It ends when the bench lets go of it, or is gone.

// Ctrl-C reaches the whole group of processes; the bench decides what becomes of this one.
process.on('SIGINT', () => {})

const [command] = (await once(process, 'message')) as [ProxyCommand]
const proxy = await FaultProxy.start(command.target)
proxy.delay(command.delayMillis)
process.once('disconnect', () => void proxy[Symbol.asyncDispose]())
process.send?.({ host: proxy.host, port: proxy.port })
