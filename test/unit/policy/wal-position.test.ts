import { describe, expect, test } from 'vitest'
import { isLag, lagBeyond, walPositionIn } from '../../../packages/core/src/policy/wal-position.ts'

describe('a position in the WAL', () => {
  test.each([
    ['0/0', 0n],
    ['0/3000060', 0x3000060n],
    ['16/B374D848', 0x16b374d848n],
    ['ffffffff/ffffffff', 2n ** 64n - 1n],
  ])('%s is read as a number of bytes', (lsn, position) => {
    expect(walPositionIn(lsn)).toBe(position)
  })

  test.each([undefined, null, '', '1', '1/', '1/g', '123456789/1', ' 0/1', 1n])('%s is none', (value) => {
    expect(walPositionIn(value)).toBeUndefined()
  })
})

describe('the lag of a replica', () => {
  test('is within the limit up to the last byte, and when the replica is ahead of what is known', () => {
    expect(lagBeyond(10, 30n, 20n)).toBeUndefined()
    expect(lagBeyond(10, 30n, 40n)).toBeUndefined()
  })

  test('is beyond the limit by one byte more, and the error is known as such', () => {
    const error = lagBeyond(10, 31n, 20n)
    expect(error?.message).toBe('the replica is 11 bytes behind the primary, and maxLagBytes is 10')
    expect(isLag(error)).toBe(true)
    expect(isLag(new Error('another'))).toBe(false)
  })

  test('is beyond every limit if nothing was replayed', () => {
    expect(lagBeyond(10, 31n, undefined)?.message).toContain('has replayed nothing')
  })
})
