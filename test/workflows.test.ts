import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '..')
const FOLDER = join(ROOT, '.github/workflows')
const FILES = readdirSync(FOLDER)

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, unknown>>
}

interface Job {
  readonly 'runs-on': string
  readonly 'timeout-minutes'?: number
  readonly needs?: string | readonly string[]
  readonly permissions?: Readonly<Record<string, string>>
  readonly strategy?: { readonly matrix: Readonly<Record<string, readonly string[]>> }
  readonly steps: readonly Step[]
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>
  readonly permissions?: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, Job>>
}

/** Fails on what isn't YAML, and on keys that are there twice. */
function read(file: string): Workflow {
  return parse(readFileSync(join(FOLDER, file), 'utf8'), { strict: true, uniqueKeys: true }) as Workflow
}

const scripts = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> })
  .scripts

describe.each(FILES)('the workflow %s', (file) => {
  const text = readFileSync(join(FOLDER, file), 'utf8')
  const { jobs, permissions } = read(file)
  const steps = Object.values(jobs).flatMap((job) => job.steps)

  test('pins each action to a full version', () => {
    const uses = steps.flatMap((step) => step.uses ?? [])
    expect(uses.length).toBeGreaterThan(0)
    expect(uses.filter((action) => !/^[\w-]+\/[\w-]+@(?:v\d+\.\d+\.\d+|[\da-f]{40})$/.test(action))).toEqual([])
  })

  test('may only read, unless a job says what for, and has no secret', () => {
    expect(permissions).toEqual({ contents: 'read' })
    expect(text).not.toMatch(/secrets\.|TOKEN\b.*\$\{\{/)
    // What an attacker can choose must not become a part of a script.
    expect(steps.filter(({ run }) => run?.includes('${{'))).toEqual([])
  })

  test('runs only scripts and files that there are', () => {
    const runs = steps.flatMap(({ run }) => run ?? [])
    const named = runs.flatMap((run) =>
      [...run.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, script = '']) => script),
    )
    expect(named.filter((script) => !(script in scripts))).toEqual([])
    const paths = runs.flatMap((run) =>
      [...run.matchAll(/(?:^|\s)(?:node |\.\/)([\w./-]+)/g)].map(([, path = '']) => path),
    )
    expect(paths.length).toBeGreaterThan(0)
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })

  test('limits the time of each job, and runs it on a fixed system', () => {
    for (const job of Object.values(jobs)) {
      expect(job['timeout-minutes']).toBeGreaterThan(0)
      expect(job['runs-on']).toMatch(/^(?:[a-z]+-[\d.]+|\$\{\{ matrix\.os \}\})$/)
      for (const os of job.strategy?.matrix.os ?? []) expect(os).toMatch(/^[a-z]+-[\d.]+$/)
    }
  })

  test('each value of a matrix is used, and each one that is used is there', () => {
    const given = Object.values(jobs).flatMap((job) => Object.keys(job.strategy?.matrix ?? {}))
    const used = [...text.matchAll(/\$\{\{ matrix\.(\w+) \}\}/g)].map(([, key = '']) => key)
    expect(new Set(used)).toEqual(new Set(given))
  })
})

test('CI runs on every Node, PostgreSQL and system that are supported', () => {
  const { on, jobs } = read('ci.yml')
  expect(Object.keys(on)).toEqual(['push', 'pull_request'])
  const matrices = Object.assign({}, ...Object.values(jobs).map((job) => job.strategy?.matrix ?? {}))
  expect(matrices).toEqual({
    node: ['20.19', '22', '24'],
    postgres: ['13', '14', '15', '16', '17', '18'],
    os: [expect.stringMatching(/^macos/), expect.stringMatching(/^windows/)],
  })
  const { engines } = JSON.parse(readFileSync(join(ROOT, 'packages/core/package.json'), 'utf8')) as {
    engines: { node: string }
  }
  expect(engines.node).toBe(`>=${matrices.node[0]}`)
})

test('a release is published by a tag, with provenance, after all tests', () => {
  const { on, jobs } = read('release.yml')
  expect(on).toEqual({ push: { tags: ['v*'] } })
  expect(jobs.publish?.permissions).toEqual({ contents: 'read', 'id-token': 'write' })
  const runs = jobs.publish?.steps.flatMap(({ run }) => run ?? []) ?? []
  const at = (part: string): number => runs.findIndex((run) => run.includes(part))
  expect(at('check-release')).toBeLessThan(at('.ci/run'))
  expect(at('.ci/run')).toBeLessThan(at('changeset publish'))
  expect(readFileSync(join(FOLDER, 'release.yml'), 'utf8')).toContain("NPM_CONFIG_PROVENANCE: 'true'")
})
