import fc, { type Arbitrary } from 'fast-check'
import type { Effect, Fault } from './faults.ts'
import type { Manner } from './orm.ts'
import type { SinglePlan } from './single.ts'
import type { Step } from './steps.ts'

/** One transaction. */
export interface TransactionPlan {
  readonly runBy: 'pool.transaction' | Manner
  readonly steps: readonly Step[]
  /** Whether its function throws at the end. */
  readonly throws: boolean
  readonly retries: number
  /** 0 for none. */
  readonly timeoutMillis: number
  /** After how many events a write happens that is not awaited at all. */
  readonly lateBy: number
  /** After how many events its signal is aborted; never if undefined. */
  readonly abortsAfter: number | undefined
}

/** Concurrent transactions on one pool, the faults, and the order of events. */
export interface Plan {
  readonly connections: number
  readonly isPooled: boolean
  readonly isWatched: boolean
  readonly invalidateOnDisconnect: 'all' | 'suspect' | 'one'
  readonly transactionalWrites: boolean
  readonly transactions: readonly TransactionPlan[]
  readonly singles: readonly SinglePlan[]
  /** How many read the same way at once, so that they share connections, and after how many events. */
  readonly sharedReads: {
    readonly count: number
    readonly after: number
    /** Whether the singles come right behind them. */
    readonly areBeforeSingles: boolean
  }
  readonly faults: readonly Fault[]
  /** Which of the possible events happens next, each time; 0 is the oldest. With -1 time passes. */
  readonly choices: readonly number[]
  /** Whether each text is prepared as soon as it is sent with values. */
  readonly prepares: boolean
}

const steps: Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom<Step>('write', 'write', 'write with values', 'write in a function') },
  { weight: 3, arbitrary: fc.constantFrom<Step>('read', 'take long') },
  {
    weight: 4,
    arbitrary: fc.constantFrom<Step>('write in a savepoint', 'write in a savepoint, undone', 'fail in a savepoint'),
  },
  { weight: 3, arbitrary: fc.constantFrom<Step>('conflict once', 'conflict once, in COMMIT') },
  { weight: 2, arbitrary: fc.constantFrom<Step>('fail', 'fail, swallowed') },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Step>(
      'write twice in one text',
      'write late',
      'write, not awaited',
      'write when it may be over',
    ),
  },
)

const manners = fc.constantFrom<Manner>(
  'plainly',
  'wraps errors',
  'never rolls back',
  'never releases',
  'discards after each failure',
  'tells of the failure of ROLLBACK',
  'commits again if COMMIT fails',
  'swallows the failure of COMMIT',
  'takes every failure for a conflict',
  'fails of a conflict after COMMIT',
  'fails of a conflict while COMMIT runs',
  'spreads its work over two transactions',
)

const transaction: Arbitrary<TransactionPlan> = fc.record({
  runBy: fc.oneof(fc.constant('pool.transaction' as const), manners),
  steps: fc.array(steps, { minLength: 1, maxLength: 4, size: 'max' }),
  throws: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  retries: fc.constantFrom(3, 2, 1, 0),
  timeoutMillis: fc.constantFrom(0, 0, 0, 300),
  lateBy: fc.nat({ max: 40 }),
  abortsAfter: fc.oneof(
    { weight: 5, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.nat({ max: 60 }) },
  ),
})

const single: Arbitrary<SinglePlan> = fc.record({
  kind: fc.constantFrom(
    'write' as const,
    'write with values' as const,
    'write slowly' as const,
    'write in a function' as const,
    'write in a view' as const,
    'announce' as const,
    'read' as const,
    'read with values' as const,
  ),
  via: fc.constantFrom(
    'pool.query' as const,
    'pool.query' as const,
    'first on a client' as const,
    'second on a client' as const,
    'transactional' as const,
  ),
})

const downMillis = fc.constantFrom(0, 100, 900, 5000)

const effect: Arbitrary<Effect> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('cut' as const),
      how: fc.constantFrom('fin' as const, 'reset' as const, 'silence' as const),
      kept: fc.nat({ max: 2 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('stall' as const),
      what: fc.constantFrom('requests' as const, 'answers' as const, 'session' as const, 'disk' as const),
      // Shorter than the timeout of COMMIT; about as long as inquiry and fencing take; longer than an inquiry may take.
      millis: fc.constantFrom(30, 150, 260, 420, 600, 4000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('terminate' as const, 'time out' as const) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('terminate' as const, 'reset statistics' as const, 'checkpoint' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('go down' as const),
      how: fc.constantFrom(
        'crash of a session' as const,
        'immediate restart' as const,
        'fast restart' as const,
        'failover' as const,
      ),
      downMillis,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('refuse' as const), downMillis }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('refuse BEGIN' as const) }) },
)

const target = fc.oneof(
  { weight: 8, arbitrary: fc.record({ at: fc.constant('commit' as const), nth: fc.constantFrom(1, 1, 2, 3) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      at: fc.constantFrom('begin' as const, 'write' as const, 'probe' as const, 'rollback' as const),
      nth: fc.constantFrom(1, 1, 2, 3, 5),
    }),
  },
  { weight: 8, arbitrary: fc.record({ at: fc.constant('single' as const), nth: fc.constantFrom(1, 1, 2, 3, 4) }) },
  {
    weight: 3,
    arbitrary: fc.record({ at: fc.constant('shared read' as const), nth: fc.integer({ min: 4, max: 20 }) }),
  },
  { weight: 3, arbitrary: fc.record({ at: fc.constant('inquiry' as const), nth: fc.constantFrom(1, 2, 3, 4, 5, 6) }) },
  { weight: 1, arbitrary: fc.record({ at: fc.constant('start-up' as const), nth: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ at: fc.constant('anything' as const), nth: fc.integer({ min: 1, max: 30 }) }) },
)

const moment = fc.constantFrom('before' as const, 'meanwhile' as const, 'afterwards' as const)

/** Several faults at one message. */
const faults: Arbitrary<Fault[]> = fc
  .record({ target, effects: fc.array(fc.record({ moment, effect }), { minLength: 1, maxLength: 3, size: 'max' }) })
  .map(({ target, effects }) => effects.map((each) => ({ ...target, ...each })))

/** Plans for pools with few connections, and at least one fault. */
export const plans: Arbitrary<Plan> = fc.record({
  connections: fc.integer({ min: 1, max: 3 }),
  isWatched: fc.boolean(),
  isPooled: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  invalidateOnDisconnect: fc.constantFrom('all' as const, 'suspect' as const, 'one' as const),
  transactionalWrites: fc.boolean(),
  transactions: fc.array(transaction, { minLength: 1, maxLength: 4, size: 'max' }),
  singles: fc.array(single, { maxLength: 4, size: 'max' }),
  sharedReads: fc.record({
    count: fc.constantFrom(0, 0, 0, 10, 20),
    after: fc.nat({ max: 30 }),
    areBeforeSingles: fc.boolean(),
  }),
  faults: fc.array(faults, { minLength: 1, maxLength: 4, size: 'max' }).map((each) => each.flat()),
  choices: fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant(0) },
      { weight: 10, arbitrary: fc.nat({ max: 11 }) },
      { weight: 1, arbitrary: fc.constant(-1) },
    ),
    { maxLength: 150, size: 'max' },
  ),
  prepares: fc.boolean(),
})
