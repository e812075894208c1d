/** What `query` calls back. */
export type Callback = (error: Error | null, result?: unknown) => void

/** A cursor, a stream, or pg's own `Query`: the driver drives it, and it is told how it fares. */
export interface Reader {
  submit: unknown
  readonly text?: string
  callback?: Callback | undefined
  handleError(error: Error, connection: unknown): void
  handleReadyForQuery(connection: unknown): void
}

/** The arguments of `query`, in whichever of pg's forms. */
export type QueryArguments = readonly [first: unknown, second?: unknown, third?: unknown]

/** The reader that is to be submitted, if this is that form. */
export function readerOf([first]: QueryArguments): Reader | undefined {
  return typeof (first as Reader | null)?.submit === 'function' ? (first as Reader) : undefined
}

/** Who is called back, if this is that form; what can't be called is left for the driver to refuse. */
export function callbackOf([first, second, third]: QueryArguments): Callback | undefined {
  const callback = typeof second === 'function' ? second : (third ?? (first as Partial<Reader> | null)?.callback)
  return callback as Callback | undefined
}

/** The SQL of a call, as far as it is known. */
export function textOf([first]: QueryArguments): string | undefined {
  const text = typeof first === 'string' ? first : (first as { text?: unknown } | null | undefined)?.text
  return typeof text === 'string' ? text : undefined
}

/** Refuses a call as pg would fail it: with a rejection, through the callback, or by telling the reader. */
export function refuse(refusal: Error, call: QueryArguments): unknown {
  const reader = readerOf(call)
  const callback = callbackOf(call)
  if (reader) {
    if (typeof callback === 'function') reader.callback ??= callback
    process.nextTick(() => reader.handleError(refusal, undefined))
    return reader
  }
  if (typeof callback !== 'function') return Promise.reject(refusal)
  process.nextTick(callback, refusal)
  return undefined
}
