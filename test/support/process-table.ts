import { execFileSync } from 'node:child_process'
import fs from 'node:fs'

/** One line of the system's process table. */
export interface ProcessEntry {
  readonly pid: number
  readonly parent: number
  /** Halted by SIGSTOP: alive, and doing nothing. */
  readonly stopped: boolean
}

/**
 * All living processes of the machine. Without zombies: the children of a halted server that have ended stay such, since
 * it cannot take note of it. From /proc where there is one: `ps` is not part of a minimal Debian.
 */
export function processTable(): ProcessEntry[] {
  return process.platform === 'linux' ? fromProc() : fromPs()
}

/** The processes that this one has started and that still run. */
export function childrenOf(parent: number): ProcessEntry[] {
  return processTable().filter((entry) => entry.parent === parent)
}

/** Whether a process of this id exists; true also for one of another user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function fromProc(): ProcessEntry[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readStat(Number(name)))
}

function readStat(pid: number): ProcessEntry[] {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    // "pid (name) state parent ...": the name may itself contain spaces and parentheses.
    const [state = '', parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' || state === 'X' ? [] : [{ pid, parent: Number(parent), stopped: state === 'T' }]
  } catch {
    return [] // It ended between the listing and the reading.
  }
}

function fromPs(): ProcessEntry[] {
  return execFileSync('ps', ['-axo', 'pid=,ppid=,state='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [pid, parent, state = ''] = line.trim().split(/\s+/)
      if (state.startsWith('Z')) return []
      return [{ pid: Number(pid), parent: Number(parent), stopped: state.startsWith('T') }]
    })
}
