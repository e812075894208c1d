import { setTimeout as sleep, setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { SETTINGS } from '../settings.ts'
import { stackNamed } from '../stacks/index.ts'
import type { Service } from '../stacks/stack.ts'
import { Callers } from '../workload/callers.ts'
import { Journal } from '../workload/journal.ts'
import type { Command, Message } from './messages.ts'
import { Outbox } from './outbox.ts'

// The process of one service with one stack. It lives and dies as with that stack: nothing is caught here that a
// real service wouldn't catch.

const outbox = new Outbox()
const journal = new Journal({
  ended: (operation) => outbox.add(operation),
  overdue: (pending) => outbox.send({ type: 'overdue', pending }),
})
let service: Service
let callers: Callers
let isClosing = false

process.on('message', (command: Command) => void obey(command))
process.on('exit', () => outbox.send({ type: 'ended', pending: journal.pending }))
// Ctrl-C reaches the whole group of processes. The storm decides when this one ends.
process.on('SIGINT', () => {})
process.on('disconnect', () => {
  if (!isClosing) process.exit(0) // The storm is gone.
})

async function obey(command: Command): Promise<void> {
  const answer = await act(command)
  outbox.send(answer)
  // From here on only the pool can keep the process alive.
  if (command.type === 'close') process.disconnect()
}

async function act(command: Command): Promise<Message> {
  switch (command.type) {
    case 'open': {
      const { setup, seed, incarnation } = command
      const { open } = await stackNamed(command.stack).load()
      service = await open(setup)
      callers = new Callers({ service, journal, seed, incarnation, thinkMillis: SETTINGS.thinkMillis })
      return { type: 'opened' }
    }
    case 'start':
      callers.start(command.phase)
      return { type: 'started' }
    case 'pause':
      callers.stop()
      await drained(command.withinMillis)
      return { type: 'paused', pending: journal.pending }
    case 'probe':
      return { type: 'probed', answered: await service.occupy(command.count, command.withinMillis) }
    case 'block':
      callers.rush()
      await turnOfTheLoop() // Now the statements are on their way.
      block(command.millis)
      return { type: 'blocked' }
    case 'dirty':
      callers.dirty = command.on
      return { type: 'dirtied' }
    case 'close':
      isClosing = true
      callers.stop()
      await service.close()
      return { type: 'closed' }
  }
}

async function drained(withinMillis: number): Promise<void> {
  const deadline = performance.now() + withinMillis
  while (journal.pending.length > 0 && performance.now() < deadline) await sleep(10)
}

/** Blocks the event loop while statements are running, as a big JSON or a bad regular expression does. */
function block(millis: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
}
