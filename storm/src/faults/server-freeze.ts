import { type Fault, serverOf } from './fault.ts'

const FROZEN_MILLIS = 1500

/** A server that is extremely slow and loses nothing: SCENARIOS B5, "slow is told from dead". */
export const serverFreeze: Fault = {
  name: 'server-freeze',
  title: 'server freeze',
  story: `The whole server is frozen for ${FROZEN_MILLIS / 1000} s (SIGSTOP), and then goes on. It was slow, and nothing is lost.`,
  needs: 'server',
  async strike(context) {
    const server = serverOf(context)
    await context.act('spares', () => server.freeze())
    await context.wait(FROZEN_MILLIS)
    await server.thaw()
  },
}
