import { setTimeout as sleep, setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { Callers } from '../../workload/callers.ts'
import { Journal } from '../../workload/journal.ts'
import { seeded } from '../../workload/random.ts'
import { SOAK } from '../settings.ts'
import { HABITS } from './habits.ts'
import { HabitualCallers } from './habitual-callers.ts'
import type { SoakCommand, SoakMessage } from './messages.ts'
import { openPools } from './pools.ts'
import { post, tellOf } from './post.ts'
import { Sampler } from './sampler.ts'
import { SoakedService } from './soaked-service.ts'

// The soaked process. It starts once and lives to the end, so that leftovers accumulate. Nothing is caught here, so an
// unhandled rejection ends the process and the soak.

const shutdown = new AbortController()
const sampler = new Sampler(shutdown.signal)
const journal = new Journal({
  ended(operation) {
    sampler.operationEnded()
    tellOf(operation)
  },
  overdue: () => {}, // What never ends is reported at each pause.
})
let service: SoakedService
let callers: Callers
let habitual: HabitualCallers
let isClosing = false

process.on('message', (command: SoakCommand) => void obey(command))
process.on('warning', ({ name, message }) => post({ type: 'warned', name, message }))
// Ctrl-C reaches the whole group of processes. The soak decides when this one ends.
process.on('SIGINT', () => {})
process.on('disconnect', () => {
  if (!isClosing) process.exit(0) // The soak is gone.
})
setInterval(() => post({ type: 'sampled', sample: sampler.sample() }), SOAK.sampleMillis).unref()

async function obey(command: SoakCommand): Promise<void> {
  post(await act(command))
  // From here on only the pools can keep the process alive.
  if (command.type === 'close') process.disconnect()
}

async function act(command: SoakCommand): Promise<SoakMessage> {
  switch (command.type) {
    case 'open':
      open(command)
      return { type: 'opened' }
    case 'start':
      callers.start(command.phase)
      habitual.start(command.phase)
      return { type: 'started' }
    case 'pause':
      callers.stop()
      habitual.stop()
      await drained(command.withinMillis)
      return { type: 'paused', pending: journal.pending, habits: habitual.running }
    case 'probe':
      return { type: 'probed', answered: await service.occupy(command.count, command.withinMillis) }
    case 'block':
      callers.rush()
      await turnOfTheLoop() // Now the statements are on their way.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, command.millis)
      return { type: 'blocked' }
    case 'dirty':
      callers.dirty = command.on
      return { type: 'dirtied' }
    case 'look':
      return { type: 'looked', sample: sampler.sample() }
    case 'measure':
      return { type: 'measured', sample: await sampler.measure(command.withinMillis) }
    case 'close':
      isClosing = true
      await service.close()
      return { type: 'closed', sample: sampler.sample() }
  }
}

function open({ connection, schema, seed }: Extract<SoakCommand, { type: 'open' }>): void {
  const pools = openPools(connection, sampler.logger)
  const setup = { pools, schema, random: seeded(seed), shutdown: shutdown.signal }
  sampler.watch(pools)
  service = new SoakedService(setup)
  callers = new Callers({ service, journal, seed, incarnation: 1, thinkMillis: SOAK.thinkMillis })
  habitual = new HabitualCallers(HABITS, journal, setup)
}

async function drained(withinMillis: number): Promise<void> {
  const deadline = performance.now() + withinMillis
  while (journal.pending.length > 0 && performance.now() < deadline) await sleep(10)
}
