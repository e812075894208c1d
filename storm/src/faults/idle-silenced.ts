import type { Fault } from './fault.ts'

const LASTS_MILLIS = 5000

/** SCENARIOS A2: no connection has been idle for long enough to be pinged before its next statement. */
export const idleSilenced: Fault = {
  name: 'idle-silenced',
  title: 'silent while idle',
  story:
    'The callers pause for a moment, shorter than `prePing.idleMillis`; meanwhile a firewall forgets every connection.',
  needs: 'connection',
  async strike({ ground, victim, act, wait }) {
    const { proxy } = ground
    await victim.pause()
    const links = proxy.links
    proxy.swallow({ connections: 'existing' })
    await act('silences', async () => {
      await victim.resume()
      await Promise.race([Promise.all(links.map((link) => link.clientLeft)), wait(LASTS_MILLIS)])
    })
  },
}
