import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Framing, type FramingFault } from '../../../packages/core/src/driver/guarded-reading.ts'
import { dataRow, errorResponse, int16, message, rowDescription, text } from './model/messages.ts'

/** The fault in bytes that arrive in chunks of these sizes, repeated; its place is counted from the first byte. */
function check(bytes: Buffer, sizes: readonly number[] = [bytes.length]): FramingFault | undefined {
  const framing = new Framing()
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] as number
    const fault = framing.check(bytes.subarray(at, at + size))
    if (fault) return { ...fault, readable: at + fault.readable }
    at += size
  }
  return undefined
}

const GOOD = [
  message('R', 0),
  message('S', text('server_version'), text('18.0')),
  message('K', 1, 2),
  message('Z', 'I'),
  message('1'),
  rowDescription('one', 'two'),
  dataRow('1', null),
  dataRow('x'.repeat(70_000), ''),
  message('C', text('SELECT 2')),
  errorResponse('ERROR', '22012', 'division by zero'),
  errorResponse('NOTICE', '00000', 'by the way', 'N'),
  message('E', Buffer.alloc(1)),
  message('E', text('M'), Buffer.alloc(1)),
  message('A', 1, text('channel'), text('x'.repeat(40_000))),
  message('d', 'x'.repeat(40_000)),
  message('t', int16(20_000), Buffer.alloc(80_000)),
]

const BAD = [
  { what: 'an unknown letter', bytes: message('y'), reason: 'received invalid response: 79' },
  {
    what: 'a length of less than itself',
    bytes: Buffer.from('Z\0\0\0\x03I', 'latin1'),
    reason: 'claims to be 3 bytes',
  },
  { what: 'a length of nothing', bytes: Buffer.from('D\0\0\0\0', 'latin1'), reason: 'claims to be 0 bytes' },
  { what: 'a negative length', bytes: Buffer.from('D\xff\xff\xff\xff', 'latin1'), reason: 'claims to be 4294967295' },
  { what: 'a gigabyte', bytes: Buffer.from('D\x40\0\0\0', 'latin1'), reason: 'claims to be 1073741824 bytes' },
  { what: 'a long message without data', bytes: Buffer.from('C\0\0\x75\x31', 'latin1'), reason: 'claims to be 30001' },
  { what: 'an error without anything', bytes: message('E'), reason: 'without an end' },
  { what: 'an error that ends in a field', bytes: message('E', text('S'), 'Mwhat'), reason: 'without an end' },
  { what: 'an error that ends with its last field', bytes: message('E', text('Mwhat')), reason: 'without an end' },
  { what: 'an error of one byte', bytes: message('E', 'M'), reason: 'without an end' },
  { what: 'a notice without its end', bytes: message('N', text('Mwhat')), reason: 'without an end' },
  { what: 'another protocol', bytes: Buffer.from('HTTP/1.1 400 Bad Request'), reason: 'claims to be' },
]

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 70_000 })), {
  minLength: 1,
  maxLength: 5,
})

test('accepts the messages of PostgreSQL, however they are cut into chunks', () => {
  const property = fc.property(fc.array(fc.constantFrom(...GOOD), { maxLength: 20 }), sizes, (messages, cuts) => {
    expect(check(Buffer.concat(messages), cuts)).toBeUndefined()
  })
  fc.assert(property, { numRuns: 200 })
})

describe.each(BAD)('$what is a fault', ({ bytes, reason }) => {
  test('a fault is found, however it is cut into chunks, behind all messages before it', () => {
    const property = fc.property(fc.array(fc.constantFrom(...GOOD), { maxLength: 4 }), sizes, (before, cuts) => {
      const good = Buffer.concat(before)
      const fault = check(Buffer.concat([good, bytes, message('Z', 'I')]), cuts)
      expect(fault?.reason).toContain(reason)
      // The beginning of the bad message may have arrived in an earlier chunk.
      expect(fault?.readable).toBeGreaterThanOrEqual(good.length)
      expect(fault?.readable).toBeLessThan(good.length + bytes.length)
    })
    fc.assert(property, { numRuns: 50 })
  })

  test('a fault is found at its first byte when it arrives in one chunk', () => {
    expect(check(Buffer.concat([message('1'), bytes]))?.readable).toBe(5)
  })
})

test('checks random bytes without an exception, and finds faults within them', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 200 }), sizes, (bytes, cuts) => {
    const fault = check(Buffer.from(bytes), cuts)
    expect(fault === undefined || fault.readable < bytes.length).toBe(true)
  })
  fc.assert(property, { numRuns: 2000 })
})
