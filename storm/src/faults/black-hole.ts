import type { Fault } from './fault.ts'

const LASTS_MILLIS = 5000

/** SCENARIOS A2, B5. */
export const blackHole: Fault = {
  name: 'black-hole',
  title: 'silent black hole',
  story: 'A firewall forgets every connection: their bytes vanish without a notice. New connections work.',
  needs: 'connection',
  async strike({ ground, act, wait }) {
    const { proxy } = ground
    const links = proxy.links
    proxy.swallow({ connections: 'existing' })
    // The connections are dead, and the service can't notice it, until it has given up every one of them.
    await act('silences', () => Promise.race([Promise.all(links.map((link) => link.clientLeft)), wait(LASTS_MILLIS)]))
  },
}
