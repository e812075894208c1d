import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * Reads lines "<postmaster pid or -> <frozen pids...>"; the last one counts when the pipe ends, which is when the
 * process at its other end has died, of whatever. "done" means that there is nothing left to clean up.
 * A stopped process keeps SIGQUIT pending until SIGCONT; the files go last, since a living server would write new ones.
 */
const SCRIPT = `
server=- frozen=
while read -r first rest; do
  [ "$first" = done ] && exit 0
  server=$first frozen=$rest
done
if [ "$server" != - ]; then
  kill -QUIT "$server"
  kill -CONT "$server" $frozen
  tries=0
  while [ "$(head -n 1 "$1/data/postmaster.pid")" = "$server" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ]; then kill -KILL "$server"; break; fi
    sleep 0.1
  done
fi
rm -rf "$1"
`

/**
 * Removes a directory, and stops the server in it, should this process die without having done so itself, even by
 * SIGKILL. A small shell process of its own session, waiting for the end of a pipe. None on Windows.
 */
export class Watchdog implements AsyncDisposable {
  readonly #shell: ChildProcess | undefined

  /** Starts to watch over a directory. */
  constructor(directory: string) {
    if (process.platform === 'win32') return
    // Its own session: Ctrl-C and the terminal's hang-up reach every process of ours, and must not reach this one.
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT, 'holdfast-watchdog', directory], {
      detached: true,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#shell.unref()
    // A killed watchdog must not end this process with EPIPE.
    this.#shell.stdin?.on('error', () => {})
    if (this.#shell.stdin && 'unref' in this.#shell.stdin) (this.#shell.stdin as unknown as { unref(): void }).unref()
  }

  /** Says which server is to be stopped, and which processes must be woken up for it. Call it before freezing them. */
  watch(server: number | undefined, frozen: readonly number[] = []): void {
    this.#shell?.stdin?.write(`${[server ?? '-', ...frozen].join(' ')}\n`)
  }

  /** Everything has been cleaned up: the watchdog leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    const shell = this.#shell
    if (!shell || shell.exitCode !== null || shell.signalCode !== null) return
    shell.ref()
    const left = once(shell, 'exit')
    shell.stdin?.end('done\n')
    await left
  }
}
