import type { Fault } from './fault.ts'

/** SCENARIOS B2: a load balancer or pooler closes every connection. */
export const fin: Fault = {
  name: 'fin',
  title: 'FIN',
  story: 'Something between service and server closes every connection cleanly, without a message of Postgres.',
  needs: 'connection',
  strike: ({ ground, act }) => act('kills', () => ground.proxy.cut('fin')),
}

/** SCENARIOS B2: a machine between the two crashed. */
export const rst: Fault = {
  name: 'rst',
  title: 'RST',
  story: 'Something between service and server resets every connection.',
  needs: 'connection',
  strike: ({ ground, act }) => act('kills', () => ground.proxy.cut('rst')),
}
