import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { cachedDirectory } from './cached-directory.ts'

function freshName(): string {
  return `test-${randomUUID()}`
}

function removeLater(directory: string): void {
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }))
}

test('a cached directory is built once, even when asked for by two at the same time', async () => {
  const name = freshName()
  const build = (word: string) => async (directory: string) =>
    fs.writeFileSync(path.join(directory, 'word'), word, { flag: 'wx' })
  const [one, other] = await Promise.all([cachedDirectory(name, build('one')), cachedDirectory(name, build('other'))])
  removeLater(one)
  const again = await cachedDirectory(name, build('again'))
  expect(new Set([one, other, again]).size).toBe(1)
  expect(fs.readFileSync(path.join(one, 'word'), 'utf8')).toMatch(/^(one|other)$/)
})

test('a cached directory keeps nothing of a build that failed', async () => {
  const name = freshName()
  const failure = new Error('disk full')
  let partial = ''
  const failing = cachedDirectory(name, async (directory) => {
    partial = directory
    throw failure
  })
  await expect(failing).rejects.toBe(failure)
  expect(fs.existsSync(partial)).toBe(false)
})

test('a cached directory refuses a directory that others may change', async () => {
  const name = freshName()
  const directory = await cachedDirectory(name, async () => {})
  removeLater(directory)
  fs.chmodSync(directory, 0o777)
  await expect(cachedDirectory(name, async () => {})).rejects.toMatchObject({ code: 'CLUSTER_UNTRUSTED_DIRECTORY' })
})

test('a cached directory refuses a link to somewhere else', async () => {
  const name = freshName()
  const directory = await cachedDirectory(name, async () => {})
  removeLater(directory)
  fs.renameSync(directory, `${directory}-moved`)
  removeLater(`${directory}-moved`)
  fs.symlinkSync(`${directory}-moved`, directory)
  await expect(cachedDirectory(name, async () => {})).rejects.toMatchObject({ code: 'CLUSTER_UNTRUSTED_DIRECTORY' })
})
