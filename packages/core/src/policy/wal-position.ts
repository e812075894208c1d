/** The number of bits in each of the two numbers of an LSN. */
const BITS_OF_HALF = 32n

/**
 * The position in the WAL that an LSN stands for, in bytes; undefined if the value isn't one.
 *
 * @see https://www.postgresql.org/docs/current/datatype-pg-lsn.html
 */
export function walPositionIn(lsn: unknown): bigint | undefined {
  const [, high, low] = (typeof lsn === 'string' && /^([0-9a-f]{1,8})\/([0-9a-f]{1,8})$/i.exec(lsn)) || []
  if (high === undefined || low === undefined) return undefined
  return (BigInt(`0x${high}`) << BITS_OF_HALF) + BigInt(`0x${low}`)
}

/**
 * Why a replica that has replayed the WAL up to `replayed` must not be used while the primary is at `written`; undefined if it is
 * near enough. One that has told no position isn't near. Its code says that another try may succeed.
 */
export function lagBeyond(maxBytes: number, written: bigint, replayed: bigint | undefined): Error | undefined {
  const bytes = replayed === undefined ? undefined : written - replayed
  if (bytes !== undefined && Number(bytes) <= maxBytes) return undefined
  const text = bytes === undefined ? 'has replayed nothing' : `is ${bytes} bytes behind the primary`
  const error = Object.assign(new Error(`the replica ${text}, and maxLagBytes is ${maxBytes}`), { code: '57P03' })
  LAGS.add(error)
  return error
}

const LAGS = new WeakSet<object>()

/** Whether a replica couldn't be used because it lags. */
export function isLag(failure: unknown): boolean {
  return typeof failure === 'object' && failure !== null && LAGS.has(failure)
}
