import { expect, test } from 'vitest'
import type { Row } from '../../../packages/core/src/commit/server-report.ts'
import { AskingSession, type SessionAside } from '../../../packages/core/src/watch/asking-session.ts'
import { deferred } from '../../support/deferred.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const ROWS: readonly Row[] = [{ answer: '1' }]

/** The sessions in which the watch asks, scripted. */
class Sessions implements Disposable {
  readonly clock = new FakeClock()
  /** What happened, in order. */
  readonly events: string[] = []
  idle: (() => Promise<readonly Row[]>) | undefined
  open: () => Promise<void> = async () => {}
  answer: () => Promise<readonly Row[]> = async () => ROWS
  readonly asking: AskingSession

  constructor() {
    this.asking = new AskingSession({
      clock: this.clock,
      timeoutMillis: 1000,
      askIdle: () => {
        if (this.idle) this.events.push('ask idle')
        return this.idle?.()
      },
      openSession: async (): Promise<SessionAside> => {
        this.events.push('open')
        await this.open()
        return {
          ask: () => {
            this.events.push('ask own')
            return this.answer()
          },
          close: () => this.events.push('close'),
          destroy: () => this.events.push('destroy'),
        }
      },
    })
  }

  [Symbol.dispose](): void {
    this.asking.close()
    this.clock[Symbol.dispose]()
  }
}

test('asks over an idle connection of the pool', async () => {
  using sessions = new Sessions()
  sessions.idle = async () => ROWS
  expect(await sessions.asking.ask('?', 'any')).toBe(ROWS)
  expect(sessions.events).toEqual(['ask idle'])
  expect(sessions.clock.timers('nothing')).toBe(0)
})

test('opens a session of its own where no connection is idle, and keeps it for a minute', async () => {
  using sessions = new Sessions()
  await sessions.asking.ask('?', 'any')
  sessions.idle = async () => ROWS
  await sessions.clock.advance(50_000)
  await sessions.asking.ask('?', 'any')
  await sessions.clock.advance(59_000)
  expect(sessions.events).toEqual(['open', 'ask own', 'ask own'])
  await sessions.clock.advance(1000)
  expect(sessions.events.at(-1)).toBe('close')
  await sessions.asking.ask('?', 'any')
  expect(sessions.events.at(-1)).toBe('ask idle')
})

test('asks in its own session only, if it must', async () => {
  using sessions = new Sessions()
  sessions.idle = async () => ROWS
  await sessions.asking.ask('?', 'own')
  expect(sessions.events).toEqual(['open', 'ask own'])
})

test('asks in its own session as well when the idle connection has not answered for 250 ms', async () => {
  using sessions = new Sessions()
  sessions.idle = () => new Promise(() => {})
  const answer = sessions.asking.ask('?', 'any')
  await sessions.clock.advance(249)
  expect(sessions.events).toEqual(['ask idle'])
  await sessions.clock.advance(1)
  expect(await answer).toBe(ROWS)
  expect(sessions.events).toEqual(['ask idle', 'open', 'ask own'])
})

test('asks in its own session when the idle connection fails', async () => {
  using sessions = new Sessions()
  sessions.idle = () => Promise.reject(new Error('lost'))
  expect(await sessions.asking.ask('?', 'any')).toBe(ROWS)
})

test('takes the late answer of the idle connection if its own session fails', async () => {
  using sessions = new Sessions()
  const late = deferred<readonly Row[]>()
  sessions.idle = () => late.promise
  sessions.open = () => Promise.reject(new Error('53300'))
  const answer = sessions.asking.ask('?', 'any')
  await sessions.clock.advance(500)
  late.resolve(ROWS)
  expect(await answer).toBe(ROWS)
})

test('rejects when both fail', async () => {
  using sessions = new Sessions()
  const late = deferred<readonly Row[]>()
  sessions.idle = () => late.promise
  sessions.open = () => Promise.reject(new Error('53300'))
  const answer = sessions.asking.ask('?', 'any')
  answer.catch(() => {})
  await sessions.clock.advance(500)
  late.reject(new Error('lost'))
  await expect(answer).rejects.toThrow('53300')
})

test('a session that opens too late serves the next question', async () => {
  using sessions = new Sessions()
  const opened = deferred<void>()
  sessions.open = () => opened.promise
  const answer = sessions.asking.ask('?', 'any')
  answer.catch(() => {})
  await sessions.clock.advance(1000)
  await expect(answer).rejects.toThrow('No session within 1000 ms')
  opened.resolve()
  await sessions.clock.advance(0)
  await sessions.asking.ask('?', 'any')
  expect(sessions.events).toEqual(['open', 'ask own'])
})

test('closes a session that fails, and opens another one for the next question', async () => {
  using sessions = new Sessions()
  sessions.answer = () => Promise.reject(new Error('no answer'))
  await expect(sessions.asking.ask('?', 'any')).rejects.toThrow('no answer')
  sessions.answer = async () => ROWS
  await sessions.asking.ask('?', 'any')
  expect(sessions.events).toEqual(['open', 'ask own', 'close', 'open', 'ask own'])
})

test('a session that opens after the end is closed', async () => {
  using sessions = new Sessions()
  const opened = deferred<void>()
  sessions.open = () => opened.promise
  const answer = sessions.asking.ask('?', 'any')
  answer.catch(() => {})
  sessions.asking.close()
  opened.resolve()
  await sessions.clock.advance(0)
  expect(sessions.events).toContain('close')
})

test('tells the server nothing when another process may have the socket, too', async () => {
  using sessions = new Sessions()
  await sessions.asking.ask('?', 'any')
  sessions.asking.abandon()
  expect(sessions.events).toEqual(['open', 'ask own', 'destroy'])
})
