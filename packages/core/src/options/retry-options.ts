/**
 * When to try again: the options of p-retry.
 *
 * @see https://github.com/sindresorhus/p-retry#options
 */
export interface RetryOptions {
  /** How many times to try again. @default Infinity for connections, within the deadline of the callers; 3 for transactions */
  readonly retries?: number | undefined
  /** The first pause, in milliseconds. @default 50 */
  readonly minTimeout?: number | undefined
  /** The longest pause, in milliseconds. @default 1000 */
  readonly maxTimeout?: number | undefined
  /** Each pause is this many times as long as the one before. @default 2 */
  readonly factor?: number | undefined
  /** Make each pause one to two times as long, at random, so that those that failed together don't retry together. @default true */
  readonly randomize?: boolean | undefined
}
