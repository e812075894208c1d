import type { Fault } from './fault.ts'

const REFUSED_MILLIS = 2000

/** SCENARIOS E1. */
export const refused: Fault = {
  name: 'refused',
  title: 'refused connects',
  story: `Every connection is reset, and new ones are refused for ${REFUSED_MILLIS / 1000} s.`,
  needs: 'connection',
  async strike({ ground, act }) {
    const { proxy } = ground
    await act('kills', () => {
      proxy.refuse(REFUSED_MILLIS)
      proxy.cut('rst')
    })
    await proxy.whenListening()
  },
}
