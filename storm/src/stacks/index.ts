import type { Stack } from './stack.ts'

/** Every stack there is, in the order of the tables. A new one needs a file beside this, and an entry here. */
export const STACKS: readonly Stack[] = [
  {
    name: 'pg-stock',
    family: 'pg',
    title: 'pg.Pool',
    about: 'stock pg.Pool with nothing but its connection settings',
    isJudged: false,
    load: () => import('./pg/stock.ts'),
  },
  {
    name: 'pg-advised',
    family: 'pg',
    title: 'pg.Pool as advised',
    about: 'stock pg.Pool with all that its documentation offers: error listeners, timeouts, keepalive, release(error)',
    isJudged: false,
    load: () => import('./pg/advised.ts'),
  },
  {
    name: 'pg-holdfast',
    family: 'pg',
    title: 'pg + Holdfast',
    about: 'the code of stock pg.Pool with the Pool of @holdfast/core, and pool.transaction for BEGIN and COMMIT',
    isJudged: true,
    load: () => import('./pg/holdfast.ts'),
  },
  {
    name: 'pg-transactional',
    family: 'pg',
    title: 'Holdfast, transactionalWrites',
    about: 'the same with `transactionalWrites: true`, so that a lost write has a known outcome',
    isJudged: true,
    load: () => import('./pg/transactional.ts'),
  },
  {
    name: 'drizzle-stock',
    family: 'drizzle',
    title: 'Drizzle',
    about: 'Drizzle on stock pg.Pool, as its documentation shows',
    isJudged: false,
    load: () => import('./drizzle/stock.ts'),
  },
  {
    name: 'drizzle-holdfast',
    family: 'drizzle',
    title: 'Drizzle + Holdfast',
    about: 'the same code with drizzle of @holdfast/drizzle, and retry',
    isJudged: true,
    load: () => import('./drizzle/holdfast.ts'),
  },
  {
    name: 'kysely-stock',
    family: 'kysely',
    title: 'Kysely',
    about: 'Kysely on stock pg.Pool, as its documentation shows',
    isJudged: false,
    load: () => import('./kysely/stock.ts'),
  },
  {
    name: 'kysely-holdfast',
    family: 'kysely',
    title: 'Kysely + Holdfast',
    about: 'the same code with HoldfastDialect of @holdfast/kysely, and withRetry()',
    isJudged: true,
    load: () => import('./kysely/holdfast.ts'),
  },
  {
    name: 'typeorm-stock',
    family: 'typeorm',
    title: 'TypeORM',
    about: 'TypeORM with its own options, as its documentation shows',
    isJudged: false,
    load: () => import('./typeorm/stock.ts'),
  },
  {
    name: 'typeorm-holdfast',
    family: 'typeorm',
    title: 'TypeORM + Holdfast',
    about: 'the same code with its options through holdfast() of @holdfast/typeorm, and its transaction()',
    isJudged: true,
    load: () => import('./typeorm/holdfast.ts'),
  },
]

/** @throws when there is none of that name: names are checked where they come in. */
export function stackNamed(name: string): Stack {
  const stack = STACKS.find((each) => each.name === name)
  if (!stack) throw new Error(`BUG: no stack is called ${name}`)
  return stack
}
