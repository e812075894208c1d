import { describe, expect, test } from 'vitest'
import {
  type DeadVerdict,
  deathError,
  type ProofOfDeath,
  proofOfDeath,
  reachOfDeath,
} from '../../../packages/core/src/policy/death.ts'
import { outcomesOf, type UnderWay } from '../../../packages/core/src/policy/outcome.ts'

const death = (verdict: DeadVerdict, proof?: ProofOfDeath) => ({ verdict, proof, silentMillis: 803.4 })
const underWay = (...sent: string[]): UnderWay => ({
  sent,
  hasFailed: false,
  executing: { isQuestion: false, isComplete: false, protocol: 'extended' },
})

describe('the death of a connection', () => {
  test.each<[ProofOfDeath | undefined, string, string]>([
    ['never-ran', 'insert into t values ($1)', 'never-ran'],
    ['never-ran', 'call p($1)', 'never-ran'],
    ['interrupted', 'insert into t values ($1)', 'rolled-back'],
    ['interrupted', 'vacuum t', 'unknown'],
    ['committed', 'insert into t values ($1)', 'committed'],
    ['committed', 'insert into t values (1); insert into t values (2)', 'unknown'],
    [undefined, 'insert into t values ($1)', 'unknown'],
  ])('%s: the outcome of %s is %s', (proof, text, outcome) => {
    expect(outcomesOf(deathError(death('answer-lost', proof)), underWay(text))).toEqual([outcome])
  })

  test.each<[ProofOfDeath, string, string]>([
    ['never-ran', 'never-ran', 'never-ran'],
    ['interrupted', 'rolled-back', 'unknown'],
    ['committed', 'committed', 'unknown'],
  ])(
    '%s: a statement that was sent behind that one may have been executed, unless nothing arrived',
    (proof, first, behind) => {
      const sent = underWay('insert into t values ($1)', 'insert into u values ($1)')
      expect(outcomesOf(deathError(death('answer-lost', proof)), sent)).toEqual([first, behind])
    },
  )

  test('is told in words, with the time of silence', () => {
    const error = deathError(death('never-arrived'))
    expect(error.message).toBe('Nothing was received for 803 ms, and the server has not received the statement')
    expect(deathError(death('unreachable'))).toMatchObject({ code: 'ETIMEDOUT' })
  })

  test('proves nothing where something else was the cause', () => {
    for (const cause of [undefined, null, 'words', new Error('reset')]) expect(proofOfDeath(cause)).toBeUndefined()
  })

  test('makes suspects of the others; a network that leads nowhere concerns all', () => {
    expect(reachOfDeath(death('answer-lost'))).toBe('suspect')
    expect(reachOfDeath(death('unreachable'))).toBe('all')
  })
})
