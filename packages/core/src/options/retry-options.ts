/**
 * When to try again: p-retry's options.
 *
 * @see https://github.com/sindresorhus/p-retry#options
 */
export interface RetryOptions {
  /** How often to try again. @default Infinity for connections, within the callers' deadlines; 3 for transactions */
  readonly retries?: number | undefined
  /** The first pause, in milliseconds. @default 50 */
  readonly minTimeout?: number | undefined
  /** The longest pause, in milliseconds. @default 1000 */
  readonly maxTimeout?: number | undefined
  /** By how much each pause is longer than the one before. @default 2 */
  readonly factor?: number | undefined
  /** Vary each pause between one and two times its length. @default true: whoever failed together shall not meet again. */
  readonly randomize?: boolean | undefined
}
