import type { Fault } from './fault.ts'

const LASTS_MILLIS = 5000

/** SCENARIOS A2, B5: the server gets every statement and executes it. */
export const lostReplies: Fault = {
  name: 'lost-replies',
  title: 'replies lost, silent',
  story:
    'One direction fails: the server gets every statement on the existing connections, and its replies vanish. New connections work.',
  needs: 'connection',
  async strike({ ground, act, wait }) {
    const { proxy } = ground
    const links = proxy.links
    proxy.swallow({ connections: 'existing', direction: 'to-client' })
    await act('silences', () => Promise.race([Promise.all(links.map((link) => link.clientLeft)), wait(LASTS_MILLIS)]))
  },
}
