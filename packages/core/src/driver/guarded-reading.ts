import type { Client } from 'pg'
import { isUnexpectedMessage } from '../policy/classify-error.ts'
import { whileDriverReads } from '../runtime/user-code.ts'
import { codeOf, isError, messageOf } from '../thrown.ts'
import { Framing } from './framing.ts'
import { internalsOf, type ReadingProtocol } from './internals.ts'

type DataListener = (chunk: Buffer) => void

/** Guards the reading of a client: see `guardReading`. */
export function guardClient(client: Client, onFault: (fault: Error) => void): void {
  guardReading(internalsOf(client).connection, onFault)
}

/**
 * Catches what the driver throws when a server sends unexpected data, so that it ends only the connection. The driver
 * parses messages and acts on them in events of the socket, where an exception ends the process. `onFault` is called for
 * the first fault, and has to end the socket. What the user's code throws in there is not caught: see `runUserCode`.
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
  function catchFaults<Input>(act: (input: Input) => void, input: Input): void {
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
      if (!fault) return catchFaults(listener, chunk)
      if (fault.readable > 0) catchFaults(listener, chunk.subarray(0, fault.readable))
      fail(new Error(`The server sent what is no message: ${fault.reason}`))
    }
  }
  // Replaces the driver's listener by one of the same event, so that code that looks for a listener there finds one.
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
  // Here the driver throws for options of a wrong type: that isn't the server's fault.
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

/** Adds the message or the code that an error of the driver or the server lacks. */
export function clarified<Cause>(cause: Cause): Cause {
  try {
    if (isUnexpectedMessage(cause)) violation(cause)
  } catch {} // An error that can't be inspected is reported unchanged.
  if (hasNoMessage(cause)) extend(cause, { message: 'The server sent an error without a message' })
  return cause
}

/** Whether this is an error of the server without a message. An AggregateError has none either, but has its errors. */
function hasNoMessage(cause: unknown): cause is Error {
  try {
    return cause instanceof Error && !cause.message && 'severity' in cause
  } catch {
    return false
  }
}

/** Our own bugs are never caught. */
function isBug(fault: unknown): boolean {
  return isError(fault) && messageOf(fault).startsWith('BUG: ')
}

/** The error of a driver that can't continue, with PostgreSQL's code for that: protocol_violation. */
export function violation(fault: unknown): Error {
  const error = isError(fault) ? fault : new Error('The driver could not read an answer', { cause: fault })
  const code = codeOf(error)
  // A code of Node's says where the driver failed, and not what that means.
  if (code === undefined || code.startsWith('ERR_')) extend(error, { code: '08P01' })
  return error
}

/** What was thrown may be frozen, or a Proxy that throws. */
function extend(error: Error, facts: object): void {
  try {
    if (Object.isExtensible(error)) Object.assign(error, facts)
  } catch {}
}
