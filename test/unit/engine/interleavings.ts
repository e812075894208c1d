import fc, { type Arbitrary } from 'fast-check'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import type { PoolEventType } from '../../../packages/core/src/telemetry/events.ts'

/** How a session is reset, by name. Functions are named after what they do. */
export type ResetName =
  | 'rollback'
  | 'commit'
  | 'session'
  | 'discard'
  | 'none'
  | 'a function that does nothing'
  | 'a function that begins a transaction'
  | 'a function that throws'
  | 'a function that never ends'

/** What a caller asks for (a signal, a deadline and a reset of its own), and what it does when it is told. */
export interface CallerPlan {
  readonly signal: 'none' | 'given' | 'aborted'
  readonly timeoutMillis: number | undefined
  readonly reset: ResetName | undefined
  readonly whenTold: 'hold' | 'release at once' | 'ask again if refused'
}

/** What happens in an instant. `who` and `which` are numbers modulo how many there are just then. */
export type Instant =
  | ({ readonly do: 'acquire' } & CallerPlan)
  | { readonly do: 'release'; readonly who: number; readonly how: 'plainly' | 'true' | 'an error' | 'twice' }
  | { readonly do: 'query'; readonly who: number; readonly sql: 'select' | 'begin' | 'commit' | 'broken' }
  | { readonly do: 'end the client'; readonly who: number }
  | { readonly do: 'abort'; readonly who: number }
  | { readonly do: 'lose'; readonly which: number; readonly how: Loss }
  | { readonly do: 'silence'; readonly which: number }
  | { readonly do: 'answer'; readonly which: number }
  | { readonly do: 'welcome'; readonly how: LoginAnswer }
  | { readonly do: 'change the server'; readonly to: 'silent' | 'answering' | 'ignoring Terminate' | 'closing' }
  | { readonly do: 'invalidate' }
  | { readonly do: 'dispose'; readonly close: boolean }
  | { readonly do: 'end' }

/** How a session is lost. */
export type Loss = '57P01' | 'FATAL, but the socket stays open' | '57P05' | 'FIN' | 'ECONNRESET'

/** How the server answers each login from now on. */
export type LoginAnswer = 'accept' | 'hang' | 'ECONNREFUSED' | '53300' | '28P01' | 'a hook that throws'

/** One step of a history; those in an instant follow each other within a tick. */
export type Step =
  | Instant
  | { readonly do: 'in a listener'; readonly of: PoolEventType | 'anything'; readonly step: Instant }
  | { readonly do: 'let it happen' }
  | { readonly do: 'let in'; readonly which: number }
  | { readonly do: 'pass'; readonly millis: number }
  | { readonly do: 'freeze' }
  | { readonly do: 'wake in another process' }

/** The options of a pool, as far as they can be printed. */
export type PrintableOptions = Omit<PoolOptions, 'resetOnReturn'> & { readonly resetOnReturn: ResetName }

/** What `onConnect` does with each new connection. */
export type HookName = 'no hook' | 'a hook that queries' | 'a hook that leaves a transaction open'

const anyone = fc.nat({ max: 7 })

const resets = fc.constantFrom<ResetName>(
  'rollback',
  'commit',
  'session',
  'discard',
  'none',
  'a function that does nothing',
  'a function that begins a transaction',
  'a function that throws',
  'a function that never ends',
)

const acquire: Arbitrary<Instant> = fc.record({
  do: fc.constant('acquire'),
  signal: fc.constantFrom('none', 'none', 'given', 'given', 'aborted'),
  timeoutMillis: fc.constantFrom(undefined, undefined, undefined, 0, 40, 700, 5000),
  reset: fc.option(resets, { nil: undefined, freq: 3 }),
  whenTold: fc.constantFrom('hold', 'hold', 'hold', 'release at once', 'ask again if refused'),
})

const instant: Arbitrary<Instant> = fc.oneof(
  { weight: 12, arbitrary: acquire },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('release'),
      who: anyone,
      how: fc.constantFrom('plainly', 'plainly', 'plainly', 'plainly', 'true', 'an error', 'twice'),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('query'),
      who: anyone,
      sql: fc.constantFrom('select', 'begin', 'begin', 'commit', 'broken'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end the client'), who: anyone }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('abort'), who: anyone }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('lose'),
      which: anyone,
      how: fc.constantFrom<Loss>('57P01', 'FATAL, but the socket stays open', '57P05', 'FIN', 'ECONNRESET'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('silence'), which: anyone }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('answer'), which: anyone }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('welcome'),
      how: fc.constantFrom<LoginAnswer>(
        'accept',
        'accept',
        'hang',
        'ECONNREFUSED',
        '53300',
        '28P01',
        'a hook that throws',
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('change the server'),
      to: fc.constantFrom('silent', 'answering', 'ignoring Terminate', 'closing'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('invalidate') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dispose'), close: fc.boolean() }) },
) as Arbitrary<Instant>

const step: Arbitrary<Step> = fc.oneof(
  { weight: 60, arbitrary: instant },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('in a listener'),
      of: fc.constantFrom(
        'anything',
        'connection-leased',
        'connection-retired',
        'connection-lost',
        'connection-pinged',
      ),
      step: instant,
    }),
  },
  { weight: 22, arbitrary: fc.constant({ do: 'let it happen' }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('let in'), which: anyone }) },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('pass'),
      // Between the default deadlines: prePing.idleMillis, a ping, a reset, the idle timeout, the queue.
      millis: fc.constantFrom(1, 30, 200, 500, 600, 1000, 2500, 5000, 10_000, 31_000),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'freeze' }) },
  { weight: 1, arbitrary: fc.constant({ do: 'wake in another process' }) },
  { weight: 1, arbitrary: fc.constant({ do: 'end' }) },
) as Arbitrary<Step>

/** What happens to one pool, one step after the other. */
export const histories: Arbitrary<Step[]> = fc.array(step, { maxLength: 60, size: 'max' })

/** The options of a small pool, so that callers have to wait. */
export const options: Arbitrary<PrintableOptions> = fc
  .record({
    max: fc.integer({ min: 1, max: 4 }),
    min: fc.constantFrom(0, 0, 1, 2),
    maxIdle: fc.constantFrom(undefined, undefined, 0, 1, 2),
    maxWaiting: fc.constantFrom(undefined, undefined, 0, 1, 3),
    lifo: fc.boolean(),
    prePing: fc.constantFrom<PoolOptions['prePing'][]>(true, true, false, { idleMillis: 0 }),
    connectionTimeoutMillis: fc.constantFrom(30_000, 30_000, 2500, 300, 0),
    idleTimeoutMillis: fc.constantFrom(10_000, 10_000, 1200, 0),
    keepaliveMillis: fc.constantFrom(0, 0, 700, 3000),
    leakDetectionMillis: fc.constantFrom(0, 2000),
    maxUses: fc.constantFrom(0, 0, 0, 1, 3),
    maxLifetimeSeconds: fc.constantFrom(0, 0, 1, 20),
    query_timeout: fc.constantFrom(undefined, undefined, 900),
    resetOnReturn: resets,
    invalidateOnDisconnect: fc.constantFrom('suspect', 'suspect', 'all', 'one'),
    connectRetry: fc.constantFrom<PoolOptions['connectRetry'][]>(undefined, undefined, false, { retries: 1 }),
    closeTimeoutMillis: fc.constantFrom(5000, 1000),
  })
  .map(({ max, min, maxIdle, ...others }) => ({
    max,
    min: Math.min(min, max),
    maxIdle: maxIdle === undefined ? undefined : Math.max(Math.min(maxIdle, max), Math.min(min, max)),
    ...others,
  })) as Arbitrary<PrintableOptions>

/** What `onConnect` does. */
export const hooks: Arbitrary<HookName> = fc.constantFrom(
  'no hook',
  'no hook',
  'no hook',
  'a hook that queries',
  'a hook that leaves a transaction open',
)
