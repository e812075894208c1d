/** What `query` calls back. */
export type Callback = (error: Error | null, result?: unknown) => void

/** A cursor, a stream, or pg's own `Query`: the driver submits it, and tells it what the server answers. */
export interface Reader {
  submit: unknown
  readonly text?: string
  callback?: Callback | undefined
  handleError(error: Error, connection: unknown): void
  handleReadyForQuery(connection: unknown): void
}

/** The arguments of `query`, in any of pg's forms. */
export type QueryArguments = readonly [first: unknown, second?: unknown, third?: unknown]

/** The reader to submit, in the form that has one. */
export function readerOf([first]: QueryArguments): Reader | undefined {
  return typeof (first as Reader | null)?.submit === 'function' ? (first as Reader) : undefined
}

/** The callback, in the form that has one. It may be no function: the driver refuses that. */
export function callbackOf([first, second, third]: QueryArguments): Callback | undefined {
  const callback = typeof second === 'function' ? second : (third ?? (first as Partial<Reader> | null)?.callback)
  return callback as Callback | undefined
}

/** The SQL text, as far as it is known. */
export function textOf([first]: QueryArguments): string | undefined {
  const text = typeof first === 'string' ? first : (first as { text?: unknown } | null | undefined)?.text
  return typeof text === 'string' ? text : undefined
}

/** Refuses a query in the form in which pg would fail it: by a rejection, the callback, or the reader. */
export function refuse(refusal: Error, args: QueryArguments): unknown {
  const reader = readerOf(args)
  const callback = callbackOf(args)
  if (reader) {
    if (typeof callback === 'function') reader.callback ??= callback
    process.nextTick(() => reader.handleError(refusal, undefined))
    return reader
  }
  if (typeof callback !== 'function') return Promise.reject(refusal)
  process.nextTick(callback, refusal)
  return undefined
}
