import type { Engine } from './engine/engine.ts'
import { OptionsError } from './errors.ts'
import { problemBehindPooler } from './listen/behind-pooler.ts'
import { Handler, type ListenGap, type NotificationHandler } from './listen/handlers.ts'
import { Listening } from './listen/listening.ts'
import { isSignal } from './options/call-options.ts'
import { checkGroupKeys, Problems, readOptions, withoutUndefined } from './options/check.ts'
import { OPTIONS } from './options/option-table.ts'
import type { Retry } from './options/read-values.ts'
import { onAbort } from './runtime/abort.ts'
import type { ConnectionInspection } from './telemetry/status.ts'

/** The options of `listen()`. */
export interface ListenOptions {
  /**
   * Is called when the connection was lost and another one listens: what was notified in between was not heard, or may not have
   * been. Read your tables again then.
   */
  readonly onReconnect?: ((gap: ListenGap) => unknown) | undefined
  /** Stops listening; before the server listens, `listen()` rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

/** What `listen()` resolves with. */
export interface Subscription extends AsyncDisposable {
  readonly channel: string
  /** Stops listening. The handler isn't called any more. Resolves when the server knows; at once when called again. */
  unlisten(): Promise<void>
}

/** PostgreSQL cuts off longer names: NAMEDATALEN. */
const LONGEST_CHANNEL_BYTES = 63

/** With these another connection has to listen. */
const BEGIN_AGAIN: ReadonlySet<string> = new Set([
  'pool-invalidated',
  'pool-disposed',
  'host-changed',
  'process-changed',
])

const LISTENING = new WeakMap<Engine, Listening>()

/** See `Pool.listen`. */
export async function listen(
  engine: Engine,
  channel: string,
  handler: NotificationHandler,
  options: ListenOptions = {},
): Promise<Subscription> {
  const { onReconnect, signal } = checked(channel, handler, options)
  const listening = LISTENING.get(engine) ?? listeningOf(engine)
  LISTENING.set(engine, listening)
  const own = new Handler(channel, handler, onReconnect)
  await listening.add(own, signal)
  const stop = (): Promise<void> => {
    leaveSignal?.()
    return listening.remove(own)
  }
  const leaveSignal = signal && onAbort(signal, () => void stop())
  return { channel, unlisten: stop, [Symbol.asyncDispose]: stop }
}

/** The connection that listens, if there is one: for `Pool.inspect`. */
export function inspectListening(engine: Engine): ConnectionInspection[] {
  return LISTENING.get(engine)?.inspect(engine.clock.now()) ?? []
}

/** The pool ends, and its listening with it. */
export async function stopListening(engine: Engine): Promise<void> {
  await LISTENING.get(engine)?.close()
}

function listeningOf(engine: Engine): Listening {
  const { clock, connector, options, publisher } = engine
  const listening = new Listening({
    clock,
    retry: options.connectRetry || (OPTIONS.connectRetry.default as Retry),
    timeoutMillis: options.connectionTimeoutMillis,
    keepsProcess: !options.allowExitOnIdle,
    open: (onLost) => connector.openBeside(onLost),
    publish: (event) => publisher.publish(event),
    problem: () => problemBehindPooler(connector.pooler.kind),
  })
  publisher.subscribe(
    (event) => {
      if (event.type === 'pool-invalidated') listening.restart(event.cause)
      if (event.type === 'pool-disposed') listening.restart(new Error('dispose() was called'))
      if (event.type === 'host-changed') listening.follow(event.to)
      if (event.type === 'process-changed') listening.restart(new Error('The process has changed'), true)
    },
    (type) => BEGIN_AGAIN.has(type),
  )
  if (engine.isShuttingDown) void listening.close()
  return listening
}

/** @throws {OptionsError} that names every problem. */
function checked(channel: unknown, handler: unknown, given: ListenOptions): ListenOptions {
  return readOptions('listen', () => {
    const problems = new Problems()
    const bytes = typeof channel === 'string' ? Buffer.byteLength(channel) : 0
    if (bytes === 0 || bytes > LONGEST_CHANNEL_BYTES || String(channel).includes('\0'))
      problems.add('listen(channel)', `a name of 1 to ${LONGEST_CHANNEL_BYTES} bytes`, channel)
    if (typeof handler !== 'function') problems.add('listen(channel, handler)', 'a function', handler)
    problems.group('listen', given, '{ onReconnect }')
    checkGroupKeys('listen', withoutUndefined(given), ['onReconnect', 'signal'], problems)
    const { onReconnect, signal } = given
    if (onReconnect !== undefined && typeof onReconnect !== 'function')
      problems.add('listen.onReconnect', 'a function', onReconnect)
    if (signal !== undefined && !isSignal(signal)) problems.add('listen.signal', 'an AbortSignal', signal)
    if (problems.found.length > 0) throw new OptionsError(problems.found)
    return { onReconnect, signal }
  })
}
