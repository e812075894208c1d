import type { Logger } from '../../../packages/core/src/options/pool-options.ts'

/** A logger that keeps what it is given. */
export class RecordingLogger implements Logger {
  readonly lines: [level: string, message: string][] = []

  debug(message: string): void {
    this.lines.push(['debug', message])
  }

  info(message: string): void {
    this.lines.push(['info', message])
  }

  warn(message: string): void {
    this.lines.push(['warn', message])
  }

  error(message: string): void {
    this.lines.push(['error', message])
  }
}
