import { getEventListeners } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { onAbort } from '../../../packages/core/src/runtime/abort.ts'

const MANY = 20_000

function listenersOf(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length
}

test('a signal has one listener for any number of callbacks, and none when all are removed or called', () => {
  const controller = new AbortController()
  const { signal } = controller
  const leave = Array.from({ length: 3 }, () => onAbort(signal, () => {}))
  expect(listenersOf(signal)).toBe(1)
  for (const cancel of leave) {
    expect(listenersOf(signal)).toBe(1)
    cancel()
    cancel()
  }
  expect(listenersOf(signal)).toBe(0)
  onAbort(signal, () => {})
  expect(listenersOf(signal)).toBe(1)
  controller.abort()
  expect(listenersOf(signal)).toBe(0)
})

test('callbacks are called once each, in the order in which they were added', () => {
  const controller = new AbortController()
  const told: number[] = []
  const leave = Array.from({ length: MANY }, (_, place) => onAbort(controller.signal, () => told.push(place)))
  for (let place = 0; place < MANY; place += 2) leave[place]?.()
  controller.abort()
  controller.abort()
  expect(told).toEqual(Array.from({ length: MANY / 2 }, (_, index) => 2 * index + 1))
})

test('a callback that another callback removes is not called', () => {
  const controller = new AbortController()
  const told: string[] = []
  onAbort(controller.signal, () => {
    told.push('first')
    leave()
  })
  const leave = onAbort(controller.signal, () => told.push('second'))
  onAbort(controller.signal, () => told.push('third'))
  controller.abort()
  expect(told).toEqual(['first', 'third'])
})

test('a callback that throws does not stop the others, and its error becomes an uncaught exception', () => {
  const later: (() => void)[] = []
  const nextTick = vi.spyOn(process, 'nextTick').mockImplementation((task) => void later.push(task as () => void))
  onTestFinished(() => nextTick.mockRestore())
  const controller = new AbortController()
  const told: string[] = []
  onAbort(controller.signal, () => {
    throw new Error('a bug')
  })
  onAbort(controller.signal, () => told.push('second'))
  controller.abort()
  expect(told).toEqual(['second'])
  expect(later).toHaveLength(1)
  expect(later[0]).toThrow('a bug')
})
