import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { Application } from './support/application.ts'
import { test } from './support/fault-test.ts'

/** Longer than a busy event loop ever is, for a process that was awake. */
const FREEZE_MILLIS = 2500

const STATEMENTS = Array(3).fill('select 1 as one')

/** Freezes the process, ends its sessions meanwhile, and thaws it. */
async function freezeAndForget(application: Application, cluster: Cluster, applicationName: string): Promise<void> {
  application.freeze()
  const frozenAt = performance.now()
  await cluster.terminateBackends({ applicationName })
  await until(async () => (await cluster.countSessions({ applicationName })) === 0)
  await until(() => performance.now() - frozenAt > FREEZE_MILLIS, { what: 'the freeze to last long enough' })
  application.thaw()
}

describe('stock pg.Pool', () => {
  test('stock pg.Pool: the process dies after the thaw', async ({ cluster, direct }) => {
    await using application = await Application.start('stock', direct)
    await openThree(application)
    await application.prepareForThaw(STATEMENTS.slice(1))
    await freezeAndForget(application, cluster, direct.application_name)
    expect(await application.ends()).toMatchObject({ code: 1, stderr: expect.stringContaining("'error' event") })
  })

  test('stock pg.Pool: after the thaw each connection fails its first statement', async ({ cluster, direct }) => {
    await using application = await Application.start('stock', direct)
    await application.listen()
    await openThree(application)
    await application.prepareForThaw(STATEMENTS)
    await freezeAndForget(application, cluster, direct.application_name)
    const results = await application.resultsOfThaw()
    expect(results).toEqual(STATEMENTS.map(() => expect.objectContaining({ message: expect.any(String) })))
  })
})

describe('Holdfast', () => {
  test.for([
    { bypass: 'the default bypass window', idleMillis: 500 },
    { bypass: 'a bypass window of ten minutes', idleMillis: 600_000 },
  ])(
    'Holdfast serves the first statements after the thaw, with $bypass',
    async ({ idleMillis }, { cluster, direct }) => {
      await using application = await Application.start('holdfast', { ...direct, prePing: { idleMillis } })
      await openThree(application)
      await application.prepareForThaw(STATEMENTS)
      await freezeAndForget(application, cluster, direct.application_name)

      expect(await application.resultsOfThaw()).toEqual(STATEMENTS.map(() => [{ one: 1 }]))
      expect(await application.query('select 1 as one')).toEqual([{ one: 1 }])
      await until(async () => {
        const { total, idle, waiting } = await application.counts()
        return idle === total && waiting === 0
      })
      await application.end()
      application.leave()
      expect(await application.ends()).toEqual({ code: 0, stderr: '' })
    },
  )
})

async function openThree(application: Application): Promise<void> {
  const names = ['a', 'b', 'c']
  await Promise.all(names.map((name) => application.connect(name)))
  for (const name of names) await application.release(name)
}
