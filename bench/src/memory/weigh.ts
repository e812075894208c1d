import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { WeighCommand, Weights } from './sample.ts'

/** Weighs a pool in a process of its own, where nothing else is on the heap. */
export async function weigh(command: WeighCommand): Promise<Weights> {
  const program = fileURLToPath(new URL('main.js', import.meta.url))
  const child = fork(program, { execArgv: ['--expose-gc'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const exited = once(child, 'exit')
  child.send(command)
  const ended = exited.then(() => {
    throw new Error(`The process that weighs ${command.contestant} ended without an answer.`)
  })
  const [weights] = await Promise.race([once(child, 'message'), ended])
  await exited
  return weights as Weights
}
