import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { until } from './index.ts'
import { childrenOf, isAlive, processTable } from './process-table.ts'

const ownEntry = (pid: number | undefined) => childrenOf(process.pid).find((child) => child.pid === pid)

test('the process table lists a child, whether it is halted, and no longer when it has ended', async () => {
  const child = spawn('sleep', ['60'])
  await once(child, 'spawn')
  expect(ownEntry(child.pid)).toMatchObject({ parent: process.pid, stopped: false })
  child.kill('SIGSTOP')
  await until(() => ownEntry(child.pid)?.stopped)
  child.kill('SIGCONT')
  await until(() => ownEntry(child.pid)?.stopped === false)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(ownEntry(child.pid)).toBeUndefined()
  expect(isAlive(child.pid ?? 0)).toBe(false)
})

test('the process table does not list zombies', async () => {
  // A shell that starts a child and becomes a program which never asks what became of it.
  const parent = spawn('sh', ['-c', 'sleep 0 & exec sleep 60'])
  await once(parent, 'spawn')
  await until(() => processTable().some(({ pid }) => pid === parent.pid))
  await until(() => childrenOf(parent.pid ?? 0).length === 0)
  expect(isAlive(parent.pid ?? 0)).toBe(true)
  parent.kill('SIGKILL')
  await once(parent, 'exit')
})
