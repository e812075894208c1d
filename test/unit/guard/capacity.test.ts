import cluster from 'node:cluster'
import { availableParallelism } from 'node:os'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { availableConnections, knownWorkers } from '../../../packages/core/src/guard/capacity.ts'

const LIMITS = { superuser: false, role: -1, database: -1, server: 100, reserved: 3 }

describe('the number of granted connections', () => {
  test.each([
    { what: 'those of the server that are not reserved', limits: {}, granted: 97 },
    { what: 'all of them for a superuser', limits: { superuser: true, role: 5, database: 5 }, granted: 100 },
    { what: 'those of the role, if fewer', limits: { role: 10 }, granted: 10 },
    { what: 'those of the database, if fewer', limits: { database: 20 }, granted: 20 },
    { what: 'the least of all', limits: { role: 30, database: 20 }, granted: 20 },
    { what: 'none, for a role that may have none', limits: { role: 0 }, granted: 0 },
    { what: "those of the server, whatever the role's limit above", limits: { role: 1000 }, granted: 97 },
    { what: 'the same, as texts', limits: { superuser: 'f', role: '10', server: '100', reserved: '3' }, granted: 10 },
    { what: 'the same for a superuser, as texts', limits: { superuser: 't', role: '10', server: '100' }, granted: 100 },
  ])('the server grants $what', async ({ limits, granted }) => {
    expect(await availableConnections(async () => [{ ...LIMITS, ...limits }])).toBe(granted)
  })

  test('the number of granted connections is unknown if the server has no such row', async () => {
    expect(await availableConnections(async () => [])).toBeUndefined()
  })
})

describe('the number of known workers', () => {
  const CORES = availableParallelism()

  afterEach(() => {
    vi.unstubAllEnvs()
    Reflect.deleteProperty(cluster, 'worker')
  })

  function isWorker(id: number): void {
    Object.assign(cluster, { worker: { id } })
  }

  test('one worker is known without any sign of others', () => {
    expect(knownWorkers()).toBe(1)
  })

  test.each([
    { instances: '4', instance: '3', known: 4 },
    { instances: '1', instance: '0', known: 1 },
    { instances: 'max', instance: '0', known: 1 },
    { instances: '0', instance: '0', known: 1 },
    { instances: '-1', instance: '0', known: 1 },
    { instances: '', instance: '0', known: 1 },
    // An `instances` variable of another program.
    { instances: '4', instance: undefined, known: 1 },
  ])('$known workers are known at instance $instance of $instances of PM2', ({ instances, instance, known }) => {
    vi.stubEnv('instances', instances)
    vi.stubEnv('NODE_APP_INSTANCE', instance)
    expect(knownWorkers()).toBe(known)
  })

  test('the number of known workers is the id of the node:cluster worker, up to the number of cores', () => {
    isWorker(1)
    expect(knownWorkers()).toBe(1)
    isWorker(CORES)
    expect(knownWorkers()).toBe(CORES)
    isWorker(CORES + 100)
    expect(knownWorkers()).toBe(CORES)
  })
})
