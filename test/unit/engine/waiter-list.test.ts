import { expect, test, vi } from 'vitest'
import { QueueEntry, WaiterList } from '../../../packages/core/src/engine/waiter-list.ts'

function queue(...names: string[]): { waiters: WaiterList<string>; entries: QueueEntry<string>[] } {
  const waiters = new WaiterList<string>()
  const entries = names.map((name) => new QueueEntry(name, 0, 0))
  for (const entry of entries) waiters.append(entry)
  return { waiters, entries }
}

function drain(waiters: WaiterList<string>): string {
  let names = ''
  for (let first = waiters.shift(); first; first = waiters.shift()) names += first.waiter
  return names
}

test('a list returns entries in order of arrival', () => {
  expect(drain(queue('a', 'b', 'c').waiters)).toBe('abc')
})

test.each([
  { leaver: 0, rest: 'bc' },
  { leaver: 1, rest: 'ac' },
  { leaver: 2, rest: 'ab' },
])('a list of three keeps its order when the entry at place $leaver leaves', ({ leaver, rest }) => {
  const { waiters, entries } = queue('a', 'b', 'c')
  waiters.remove(entries[leaver] as QueueEntry<string>)
  expect(waiters.size).toBe(2)
  expect(drain(waiters)).toBe(rest)
})

test('a list is empty after the last entry has left, and takes new ones', () => {
  const { waiters, entries } = queue('a')
  waiters.remove(entries[0] as QueueEntry<string>)
  expect(waiters.first).toBeUndefined()
  expect(waiters.shift()).toBeUndefined()
  expect(waiters.size).toBe(0)

  waiters.append(new QueueEntry('b', 0, 0))
  expect(drain(waiters)).toBe('b')
})

test.each([
  { how: 'is served', go: (waiters: WaiterList<string>) => waiters.shift() },
  { how: 'leaves', go: (waiters: WaiterList<string>, entry: QueueEntry<string>) => waiters.remove(entry) },
])('cancels the timers and listeners of an entry that $how', ({ go }) => {
  const { waiters, entries } = queue('a')
  const entry = entries[0] as QueueEntry<string>
  entry.cancel = vi.fn()
  go(waiters, entry)
  expect(entry.cancel).toHaveBeenCalledOnce()
})
