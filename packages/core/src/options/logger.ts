/**
 * Where the pool writes to: `console`, a pino logger, a winston logger, or anything else with these four methods. Each
 * line is one string, ready to be read; no format characters, no further arguments.
 *
 * @example
 * ```ts
 * const pool = new Pool({ connectionString, logger: pino(), echo: true })
 * ```
 */
export interface Logger {
  /** Every lease, release and ping, under `echo: 'debug'`. */
  debug(message: string): void
  /** What happens to connections other than being used, under `echo: true`. */
  info(message: string): void
  /** What somebody should look into, with and without `echo`. */
  warn(message: string): void
  /** What went wrong without anybody being told by an error of his own, under `echo: true`. */
  error(message: string): void
}
