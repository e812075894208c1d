import { expect, test, vi } from 'vitest'
import { QueueEntry, WaiterList } from '../../../packages/core/src/engine/waiter-list.ts'

function line(...names: string[]): { waiters: WaiterList<string>; tickets: QueueEntry<string>[] } {
  const waiters = new WaiterList<string>()
  const tickets = names.map((name) => new QueueEntry(name, 0, 0))
  for (const ticket of tickets) waiters.append(ticket)
  return { waiters, tickets }
}

function drain(waiters: WaiterList<string>): string {
  let names = ''
  for (let first = waiters.shift(); first; first = waiters.shift()) names += first.waiter
  return names
}

test('returns entries in order of arrival', () => {
  expect(drain(line('a', 'b', 'c').waiters)).toBe('abc')
})

test.each([
  { leaver: 0, rest: 'bc' },
  { leaver: 1, rest: 'ac' },
  { leaver: 2, rest: 'ab' },
])('removes the entry at place $leaver', ({ leaver, rest }) => {
  const { waiters, tickets } = line('a', 'b', 'c')
  waiters.remove(tickets[leaver] as QueueEntry<string>)
  expect(waiters.size).toBe(2)
  expect(drain(waiters)).toBe(rest)
})

test('is empty after the last entry has left, and takes new ones', () => {
  const { waiters, tickets } = line('a')
  waiters.remove(tickets[0] as QueueEntry<string>)
  expect(waiters.first).toBeUndefined()
  expect(waiters.shift()).toBeUndefined()
  expect(waiters.size).toBe(0)

  waiters.append(new QueueEntry('b', 0, 0))
  expect(drain(waiters)).toBe('b')
})

test.each([
  { how: 'is served', go: (waiters: WaiterList<string>) => waiters.shift() },
  { how: 'leaves', go: (waiters: WaiterList<string>, ticket: QueueEntry<string>) => waiters.remove(ticket) },
])('cancels the timers and listeners of an entry that $how', ({ go }) => {
  const { waiters, tickets } = line('a')
  const ticket = tickets[0] as QueueEntry<string>
  ticket.cancel = vi.fn()
  go(waiters, ticket)
  expect(ticket.cancel).toHaveBeenCalledOnce()
})
