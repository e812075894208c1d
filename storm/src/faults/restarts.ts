import { type Fault, type FaultContext, serverOf } from './fault.ts'

const DOWN_MILLIS = 1000

/** SCENARIOS A1, B2, E1: the server ends every session with 57P01, and is away for a second. */
export const fastRestart: Fault = {
  name: 'fast-restart',
  title: 'fast restart',
  story: 'The server restarts as for an update: every session gets 57P01, and for a second no login succeeds.',
  needs: 'server',
  strike: (context) => restart(context, 'fast'),
}

/** SCENARIOS B2, E1: as after a crash. */
export const immediateRestart: Fault = {
  name: 'immediate-restart',
  title: 'immediate restart',
  story: 'The server dies at once (57P02), recovers from its log, and is away for a second.',
  needs: 'server',
  strike: (context) => restart(context, 'immediate'),
}

async function restart(context: FaultContext, mode: 'fast' | 'immediate'): Promise<void> {
  const server = serverOf(context)
  await context.act('kills', () => server.stop(mode))
  await context.wait(DOWN_MILLIS)
  await server.start()
}
