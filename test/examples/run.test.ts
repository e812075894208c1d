import { describe, expect, test } from 'vitest'
import { until } from '../support/index.ts'
import { insist } from './support/customers.ts'
import { Service } from './support/service.ts'

describe('run.ts', () => {
  test('run.ts starts a service on a server of its own, restarts the server on Enter, and stops both on Ctrl-C', async () => {
    await using service = await Service.start('run.ts', { args: ['pg'] })
    const order = { method: 'POST', path: '/orders', key: 'a', body: { cents: 1 } } as const
    const { id } = await insist(service, order)
    service.type('\n')
    await until(() => service.stdout.includes('was restarted'))
    expect(await insist(service, order)).toEqual({ id, cents: 1, status: 'open' })
    const { status, body } = await service.ask({ method: 'GET', path: '/status' })
    expect({ status, body }).toMatchObject({ status: 200, body: { isClosed: false } })
    service.signal('SIGINT')
    expect(await service.ends()).toEqual({ code: 0, stderr: '' })
    await expect(service.ask({ method: 'GET', path: '/status' })).rejects.toThrow('fetch failed')
  })

  test('run.ts lists the services when it is called without a name, or with an unknown one', async () => {
    for (const args of [[], ['django']])
      await expect(Service.start('run.ts', { args })).rejects.toThrow(
        'npm run example -- cluster | drizzle | kysely | pg',
      )
  })
})
