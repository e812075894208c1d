import { expectAllTrue } from './random/expect-true.ts'
import { holdfastPayer } from './random/payers.ts'
import { run } from './random/run.ts'
import { test } from './support/commit-test.ts'

/** Enough for every kind of fault; `npm run test:long` has other seeds and stock `pg.Pool`, `npm run commits` takes more. */
const TRANSFERS = 100

// Some faults last for seconds: on a busy machine it takes a minute.
test('Holdfast: every answer to a transfer is true while everything breaks', { timeout: 180_000 }, async ({
  cluster,
}) => {
  expectAllTrue(await run(cluster, { seed: 101, count: TRANSFERS, payer: holdfastPayer }))
})
