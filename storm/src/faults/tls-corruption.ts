import type { Fault } from './fault.ts'

const LASTS_MILLIS = 4000

/** SCENARIOS B7. */
export const tlsCorruption: Fault = {
  name: 'tls-corruption',
  title: 'TLS corruption',
  story:
    'One byte of the next TLS record is flipped on every connection: in an answer on half of them, in a request on the others.',
  needs: 'connection',
  async strike({ ground, act, wait }) {
    const { proxy } = ground
    const links = proxy.links
    // A connection that is idle at the moment is hit at its next record, whenever that comes; a connection that is given up
    // before that is not hit.
    const hits = [
      proxy.corrupt('to-client', { links: links.filter((_, index) => index % 2 === 0) }),
      proxy.corrupt('to-server', { links: links.filter((_, index) => index % 2 === 1) }),
    ]
    await act('silences', () => Promise.race([Promise.all(hits), wait(LASTS_MILLIS)]))
  },
}
