import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Cluster } from '@holdfast/test/support'

/** `npm run example -- drizzle` runs a service beside this file, on a PostgreSQL that is deleted at the end. */

const services = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.ts') && file !== 'run.ts')
const asked = process.argv[2]
const file = services.find((service) => asked && service.startsWith(asked))

if (file) await run(file)
else {
  console.error(`Which one? npm run example -- ${services.map((service) => service.replace(/[-.].*/, '')).join(' | ')}`)
  process.exitCode = 2
}

async function run(service: string): Promise<void> {
  await using cluster = await Cluster.start()
  console.log(`PostgreSQL: ${cluster.url}\nEnter restarts it underneath the service, Ctrl-C ends both.`)
  const child = spawn(process.execPath, [join(import.meta.dirname, service)], {
    env: { ...process.env, DATABASE_URL: cluster.url },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))

  let restarts = Promise.resolve()
  const keyboard = createInterface({ input: process.stdin })
  keyboard.on('line', () => {
    restarts = restarts.then(() => cluster.restart()).then(() => console.log('PostgreSQL was restarted'))
  })

  const [code] = await once(child, 'exit')
  process.exitCode = code ?? 1
  keyboard.close()
  await restarts
}
