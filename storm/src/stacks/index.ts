import type { Stack } from './stack.ts'

/** Every stack there is, in the order of the tables. A new one needs a file beside this, and an entry here. */
export const STACKS: readonly Stack[] = [
  {
    name: 'pg',
    title: 'pg.Pool',
    about: 'stock pg.Pool with nothing but its connection settings',
    isJudged: false,
    load: () => import('./pg.ts'),
  },
  {
    name: 'pg-advised',
    title: 'pg.Pool as advised',
    about: 'stock pg.Pool with all that its documentation offers: error listeners, timeouts, keepalive, release(error)',
    isJudged: false,
    load: () => import('./pg-advised.ts'),
  },
  {
    name: 'holdfast',
    title: 'Holdfast',
    about: 'the code of stock pg.Pool with one line changed, and the query_timeout of the advised one',
    isJudged: true,
    load: () => import('./holdfast.ts'),
  },
]

/** @throws when there is none of that name: names are checked where they come in. */
export function stackNamed(name: string): Stack {
  const stack = STACKS.find((each) => each.name === name)
  if (!stack) throw new Error(`BUG: no stack is called ${name}`)
  return stack
}
