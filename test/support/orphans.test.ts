import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { until } from './index.ts'
import { isAlive } from './process-table.ts'

interface Report {
  readonly pid?: number
  readonly data: string
}

async function startOwner(state: string): Promise<{ owner: ChildProcess; report: Report }> {
  const program = fileURLToPath(new URL('fixtures/cluster-owner.ts', import.meta.url))
  // Node 22 strips types only with this flag; later versions accept it as well.
  const owner = fork(program, [state], { execArgv: ['--experimental-strip-types', '--no-warnings'] })
  const [report] = (await once(owner, 'message')) as [Report]
  return { owner, report }
}

function remains({ pid, data }: Report): string[] {
  const server = pid !== undefined && isAlive(pid) ? [`process ${pid}`] : []
  const directory = path.dirname(data)
  return fs.existsSync(directory) ? [...server, directory] : server
}

async function remainsInTheEnd(report: Report): Promise<string[]> {
  await until(() => remains(report).length === 0)
  return remains(report)
}

for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM'] as const) {
  test.concurrent(`a cluster leaves no server and no file behind when its process dies of ${signal}`, async () => {
    const { owner, report } = await startOwner('running')
    expect(report.pid).toSatisfy(isAlive)
    owner.kill(signal)
    expect(await remainsInTheEnd(report)).toEqual([])
  })
}

test.concurrent('a cluster leaves nothing behind when its process dies while the server is frozen', async () => {
  const { owner, report } = await startOwner('frozen')
  owner.kill('SIGKILL')
  expect(await remainsInTheEnd(report)).toEqual([])
})

test.concurrent('a cluster leaves nothing behind when its process dies while the server is stopped', async () => {
  const { owner, report } = await startOwner('stopped')
  expect(report.pid).toBeUndefined()
  owner.kill('SIGKILL')
  expect(await remainsInTheEnd(report)).toEqual([])
})

test.concurrent('a cluster leaves nothing behind when its process exits without disposing of it', async () => {
  const { owner, report } = await startOwner('careless')
  owner.send('exit')
  expect(await remainsInTheEnd(report)).toEqual([])
})
