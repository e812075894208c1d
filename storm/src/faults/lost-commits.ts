import { type Act, AimError, type Point } from '@holdfast/test/support'
import { aimedOf, type Fault, type Scene } from './fault.ts'

const COMMIT = /^commit\b/i
/** By turns: it never reaches the server, which rolls back; or it is carried out, and the reply never comes. */
const POINTS: readonly Point[] = ['before-forward', 'on-reply']
const RESETS = 6
const SILENCES = 4
/** Until who was hit has recovered. */
const PAUSE_MILLIS = 500
/** By then nobody commits any more: all that could hang. */
const PATIENCE_MILLIS = 1500

/** SCENARIOS C3. */
export const commitsReset: Fault = {
  name: 'commits-reset',
  title: 'COMMIT lost, RST',
  story: `The connection is reset while COMMIT is on its way, ${RESETS} times: by turns before the server gets it, and after it has carried it out.`,
  needs: 'server',
  async strike(scene) {
    for (let count = 0; count < RESETS; count++) {
      await scene.act('kills', () => hitCommit(scene, count, 'rst'))
      await scene.wait(PAUSE_MILLIS)
    }
  },
}

/** SCENARIOS C4. */
export const commitsSilenced: Fault = {
  name: 'commits-silenced',
  title: 'COMMIT lost, silent',
  story: `The connection turns into a black hole while COMMIT is on its way, ${SILENCES} times: by turns before the server gets it, which then keeps its locks, and after it has carried it out.`,
  needs: 'server',
  async strike(scene) {
    for (let count = 0; count < SILENCES; count++) {
      await scene.act('silences', () =>
        hitCommit(scene, count, (link) => {
          scene.ground.silence(link)
          return 'swallow'
        }),
      )
      await scene.wait(PAUSE_MILLIS)
    }
  },
}

async function hitCommit(scene: Scene, count: number, act: Act): Promise<void> {
  const point = POINTS[count % POINTS.length] as Point
  const shot = aimedOf(scene).aim({ statement: COMMIT, point, timeoutMillis: PATIENCE_MILLIS }, act)
  await shot.fired.catch((error: unknown) => {
    if (!(error instanceof AimError) || error.code === 'AIM_PROXY_CLOSED') throw error
  })
}
