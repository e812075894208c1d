import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { settles } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { written } from '../support/health.ts'
import { NestApplication } from './support/nest.ts'

/** More than `settles` waits, so that only a drain can explain an end. */
const PATIENT_MILLIS = 60_000

describe('a NestJS application that gets SIGTERM', () => {
  test('a NestJS application answers every accepted request after SIGTERM, and exits', async ({ cluster }) => {
    await using application = await NestApplication.start({
      url: cluster.url,
      recipe: 'drain',
      drainMillis: PATIENT_MILLIS,
      closeTimeoutMillis: PATIENT_MILLIS,
    })
    const statuses = application.load(20)
    await until(() => (application.report.begun ?? 0) > 200)
    application.terminate()
    await application.isGone()
    expect(new Set(await settles(statuses, 'the load'))).toEqual(new Set([200]))
    const { begun = 0, done } = application.report.requests ?? {}
    expect(begun).toBeGreaterThan(200)
    expect(done).toBe(begun)
  })

  test("a NestJS application exits at the end of drain()'s time during an outage", async ({ cluster, proxy }) => {
    await using application = await NestApplication.start({
      url: proxy.url(cluster.url),
      recipe: 'drain',
      drainMillis: 200,
      closeTimeoutMillis: PATIENT_MILLIS,
    })
    proxy.cut('rst')
    proxy.refuse()
    const waiting = [application.status('work'), application.status('work')]
    await until(() => application.report.begun === 2)
    application.terminate()
    await application.isGone()
    expect(await Promise.all(waiting)).toEqual([500, 500])
    expect(application.report.requests).toEqual({ begun: 2, done: 0 })
  })

  test('a NestJS application without our hooks waits until its requests time out', async ({ cluster, proxy }) => {
    await using application = await NestApplication.start({
      url: proxy.url(cluster.url),
      recipe: 'nothing',
      drainMillis: 0,
      closeTimeoutMillis: 1,
    })
    proxy.cut('rst')
    proxy.refuse()
    const waiting = application.status('work', false)
    await until(() => application.report.begun === 1)
    application.terminate()
    // It accepts no more requests, and still waits for this one.
    await until(async () => (await application.status('nowhere', false)) === undefined)
    await proxy.heal()
    expect(await settles(waiting, 'the request')).toBe(200)
    await application.isGone()
  })

  test('a NestJS application finishes its jobs after SIGTERM before TypeORM closes the pool', async ({ cluster }) => {
    await using application = await NestApplication.start({
      url: cluster.url,
      recipe: 'drain',
      drainMillis: PATIENT_MILLIS,
      closeTimeoutMillis: 1,
    })
    expect(await application.status('background')).toBe(200)
    await until(() => application.report.isInBackground === true)
    application.terminate()
    await application.isGone()
    expect(application.report.failure).toBeUndefined()
    expect(await written(cluster, 'in the background')).toEqual(['in the background'])
  })
})

test('the readiness of a NestJS application follows its database', async ({ cluster, proxy }) => {
  await using application = await NestApplication.start({
    url: proxy.url(cluster.url),
    recipe: 'drain',
    drainMillis: 200,
    closeTimeoutMillis: 1,
  })
  expect(await application.status('ready')).toBe(200)
  proxy.cut('rst')
  proxy.refuse()
  expect(await application.status('ready')).toBe(503)
  await proxy.heal()
  await until(async () => (await application.status('ready')) === 200)
})
