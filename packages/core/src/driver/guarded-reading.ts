import { isUnexpectedMessage } from '../policy/classify-error.ts'
import { whileDriverReads } from '../runtime/user-code.ts'
import { codeOf, isError, messageOf } from '../thrown.ts'
import { Framing } from './framing.ts'
import type { ReadingProtocol } from './internals.ts'

type DataListener = (chunk: Buffer) => void

/**
 * Keeps within its connection what the driver throws when a server sends what it doesn't expect. The driver parses messages
 * and acts on them in the socket's own events, where an exception would end the process. `onFault` is told of the first,
 * and ends the socket. What the user's code throws in there is not caught: see `runUsersCode`.
 *
 * Comes before `connect`. A protocol layer of another kind is left as it is.
 */
export function guardReading(protocol: ReadingProtocol, onFault: (fault: Error) => void): void {
  const { attachListeners, startup, upgradeToSSL } = protocol
  if (typeof attachListeners !== 'function') return
  let isOver = false

  function fail(fault: unknown): void {
    if (isOver) return
    isOver = true
    onFault(violation(fault))
  }
  function attempt<Input>(act: (input: Input) => void, input: Input): void {
    try {
      whileDriverReads(act, input)
    } catch (fault) {
      if (isBug(fault)) throw fault
      fail(fault)
    }
  }
  function guard(listener: DataListener, framing: Framing): DataListener {
    return (chunk) => {
      if (isOver) return
      const fault = framing.check(chunk)
      if (!fault) return attempt(listener, chunk)
      if (fault.readable > 0) attempt(listener, chunk.subarray(0, fault.readable))
      fail(new Error(`The server sent what is no message: ${fault.reason}`))
    }
  }
  /** In the place of what is attached, so that whoever looks for the driver's listener finds one. */
  protocol.attachListeners = (stream) => {
    const others = stream.listeners('data')
    attachListeners.call(protocol, stream)
    const framing = new Framing()
    for (const listener of stream.listeners('data') as DataListener[]) {
      if (others.includes(listener)) continue
      stream.removeListener('data', listener)
      stream.on('data', guard(listener, framing))
    }
  }
  // Options of a wrong type: not the server's fault.
  function begin(act: () => void): void {
    try {
      act()
    } catch (problem) {
      protocol.emit('error', problem)
    }
  }
  protocol.startup = (config) => begin(() => startup.call(protocol, config))
  if (upgradeToSSL) protocol.upgradeToSSL = (host, report) => begin(() => upgradeToSSL.call(protocol, host, report))
}

/** An error of the driver's, or of the server's, that says what it is: some have no message, or no code. */
export function clarified<Cause>(cause: Cause): Cause {
  try {
    if (isUnexpectedMessage(cause)) violation(cause)
  } catch {} // What can't be looked at is told as it is.
  if (isWordless(cause)) adorn(cause, { message: 'The server sent an error without a message' })
  return cause
}

/** Of the server's, not an AggregateError, which tells by its errors. */
function isWordless(cause: unknown): cause is Error {
  try {
    return cause instanceof Error && !cause.message && 'severity' in cause
  } catch {
    return false
  }
}

/** Ours: never caught. */
function isBug(fault: unknown): boolean {
  return isError(fault) && messageOf(fault).startsWith('BUG: ')
}

/** What the driver can't go on from, with PostgreSQL's code for it: protocol_violation. */
export function violation(fault: unknown): Error {
  const error = isError(fault) ? fault : new Error('The driver could not read an answer', { cause: fault })
  const code = codeOf(error)
  // A code of Node's tells what the driver stumbled over, not what that means.
  if (code === undefined || code.startsWith('ERR_')) adorn(error, { code: '08P01' })
  return error
}

/** What was thrown may be frozen, or a Proxy that refuses. */
function adorn(error: Error, facts: object): void {
  try {
    if (Object.isExtensible(error)) Object.assign(error, facts)
  } catch {}
}
