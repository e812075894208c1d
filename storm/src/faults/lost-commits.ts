import { AimError, type NamedAct, type Point } from '@holdfast/test/support'
import { aimedOf, type Effect, type Fault, type FaultContext } from './fault.ts'

const COMMIT = /^commit\b/i
/** In turn: COMMIT never reaches the server, which rolls back; or it is executed, and the reply never arrives. */
const POINTS: readonly Point[] = ['before-forward', 'on-reply']
const RESETS = 6
const SILENCES = 4
/** Until the caller has recovered. */
const PAUSE_MILLIS = 500
/** By then no caller commits any more: all that could hang do so. */
const PATIENCE_MILLIS = 1500

/** SCENARIOS C3. */
export const commitsReset: Fault = {
  name: 'commits-reset',
  title: 'COMMIT lost, RST',
  story: `The connection is reset while COMMIT is on its way, ${RESETS} times: in turn before the server gets it, and after the server has executed it.`,
  needs: 'server',
  strike: (context) => hitCommits(context, { times: RESETS, effect: 'kills', act: 'rst' }),
}

/** SCENARIOS C4. */
export const commitsSilenced: Fault = {
  name: 'commits-silenced',
  title: 'COMMIT lost, silent',
  story: `The connection turns into a black hole while COMMIT is on its way, ${SILENCES} times: in turn before the server gets it, which then keeps its locks, and after the server has executed it.`,
  needs: 'server',
  strike: (context) => hitCommits(context, { times: SILENCES, effect: 'silences', act: 'swallow' }),
}

interface Hits {
  readonly times: number
  readonly effect: Effect
  readonly act: NamedAct
}

async function hitCommits(context: FaultContext, { times, effect, act }: Hits): Promise<void> {
  for (let count = 0; count < times; count++) {
    const point = POINTS[count % POINTS.length] as Point
    await context.act(effect, () => hitCommit(context, point, act))
    await context.wait(PAUSE_MILLIS)
  }
}

async function hitCommit(context: FaultContext, point: Point, act: NamedAct): Promise<void> {
  const shot = aimedOf(context).aim({ statement: COMMIT, point, timeoutMillis: PATIENCE_MILLIS }, act)
  try {
    context.ground.cutWhenHealed(await shot.fired)
  } catch (error) {
    if (!(error instanceof AimError) || error.code === 'AIM_PROXY_CLOSED') throw error
  }
}
