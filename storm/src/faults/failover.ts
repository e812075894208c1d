import { SETTINGS } from '../settings.ts'
import { type Fault, type FaultContext, serverOf } from './fault.ts'

/** SCENARIOS C5: a synchronous standby, so that what was acknowledged is on both. */
export const failover: Fault = {
  name: 'failover',
  title: 'failover',
  story: `The server dies at once, its standby is promoted after ${SETTINGS.promotionMillis / 1000} s, and the address leads there.`,
  needs: 'server',
  async strike(context: FaultContext) {
    const { ground, act, wait } = context
    const primary = serverOf(context)
    const standby = await ground.addStandby()
    await act('kills', () => primary.stop('immediate'))
    await wait(SETTINGS.promotionMillis)
    await standby.promote()
    ground.moveTo(standby)
  },
}
