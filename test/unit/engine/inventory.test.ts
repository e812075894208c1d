import { expect, test } from 'vitest'
import { Connector } from '../../../packages/core/src/connect/connector.ts'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import { Inventory } from '../../../packages/core/src/engine/inventory.ts'
import { systemClock } from '../../../packages/core/src/runtime/clock.ts'
import { FakeServer } from '../../support/fake-client.ts'

const connector = new Connector(
  {
    clientConfig: () => ({}),
    Client: new FakeServer().Client,
    connectionTimeoutMillis: 1000,
    queryTimeoutMillis: Number.POSITIVE_INFINITY,
    allowExitOnIdle: false,
    clientPerLease: true,
    transactionalWrites: false,
    clientConnectionCheckMillis: 0,
    commits: undefined,
    onConnect: undefined,
    verify: undefined,
  },
  systemClock,
)

function owned(inventory: Inventory, ...states: ('idle' | 'leased' | 'opening')[]): Connection[] {
  return states.map((state, index) => {
    const connection = connector.make({ onLost: () => {}, onReleased: () => {}, onFirstFailed: () => false })
    inventory.add(connection)
    if (state === 'idle') {
      connection.becomeIdle(index)
      inventory.addIdle(connection)
    }
    if (state === 'leased') connection.startLease(index)
    return connection
  })
}

test('derives every count from the states', () => {
  const inventory = new Inventory(true)
  owned(inventory, 'idle', 'leased', 'leased', 'opening')
  expect(inventory.size).toBe(4)
  expect(inventory.idleCount).toBe(1)
  expect(inventory.count('leased')).toBe(2)
  expect(inventory.count('checking')).toBe(0)
})

test('returns the connection next that was released last', () => {
  const inventory = new Inventory(true)
  const [older, newer] = owned(inventory, 'idle', 'idle')
  expect(inventory.next).toBe(newer)
  inventory.takeIdle(newer as Connection)
  expect(inventory.next).toBe(older)
  inventory.takeIdle(older as Connection)
  expect(inventory.next).toBeUndefined()
})

test('returns the connection next that was idle longest without lifo', () => {
  const inventory = new Inventory(false)
  const [older, newer] = owned(inventory, 'idle', 'idle')
  expect(inventory.next).toBe(older)
  inventory.takeIdle(older as Connection)
  expect(inventory.next).toBe(newer)
})

test('puts a connection that was pinged in the background back to its place', () => {
  const inventory = new Inventory(true)
  const [first, second, third] = owned(inventory, 'idle', 'idle', 'idle') as [Connection, Connection, Connection]
  inventory.takeIdle(first)
  inventory.addIdle(first)
  inventory.takeIdle(second)
  inventory.addIdle(second)
  expect(inventory.idle()).toEqual([first, second, third])
})

test('lists idle connections, the longest idle first', () => {
  const inventory = new Inventory(true)
  const connections = owned(inventory, 'idle', 'idle', 'idle')
  expect(inventory.idle()).toEqual(connections)
})

test('frees the slot of a removed connection, idle or not, once', () => {
  const inventory = new Inventory(true)
  const [idle, leased, other] = owned(inventory, 'idle', 'leased', 'idle') as [Connection, Connection, Connection]
  inventory.remove(idle)
  inventory.remove(leased)
  inventory.remove(idle)
  expect(inventory.all()).toEqual([other])
  expect(inventory.idle()).toEqual([other])
})

test('reports the longest lease for a waiter that times out', () => {
  const inventory = new Inventory(true)
  owned(inventory, 'idle', 'leased', 'leased', 'opening')
  expect(inventory.occupancy(100)).toEqual({
    leased: 2,
    idle: 1,
    opening: 1,
    checking: 0,
    resetting: 0,
    longestLease: { heldMillis: 99, backendPid: null },
  })
})

test('reports no longest lease if nothing is leased', () => {
  expect(new Inventory(true).occupancy(100).longestLease).toBeUndefined()
})

test('returns copies, so that a loop over the list may change it', () => {
  const inventory = new Inventory(true)
  owned(inventory, 'idle', 'idle')
  for (const connection of inventory.all()) inventory.remove(connection)
  expect(inventory.size).toBe(0)
})

test('counts leased connections that are too old, and no idle ones', () => {
  const inventory = new Inventory(true)
  const [leased, other, idle] = owned(inventory, 'leased', 'leased', 'idle') as [Connection, Connection, Connection]
  leased.expiresAt = 1000
  other.expiresAt = 1001
  idle.expiresAt = 1000
  expect(inventory.expiredCount(1000)).toBe(1)
})
