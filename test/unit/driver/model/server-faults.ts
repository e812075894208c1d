import fc from 'fast-check'
import { dataRow, errorResponse, int16, int32, message, rowDescription, text } from './messages.ts'

/** What a server sends instead of one message, in front of it, or behind it; and how it goes on. */
export interface ServerFault {
  /** At which message, counted over all connections. The answer to the request for TLS is one. */
  readonly at: number
  readonly change: (right: Buffer, next: Buffer | undefined) => Change
  readonly what: string
}

/** What is sent for a message, and what happens then. */
export interface Change {
  readonly bytes: Buffer
  /** Whether the message behind it was sent with it. */
  readonly tookNext?: boolean
  /** Nothing more, the end, a reset, or a byte a second. */
  readonly ending?: 'silence' | 'fin' | 'reset' | 'drip'
}

/** Messages that are well formed, and may not answer any question. */
const UNASKED: Readonly<Record<string, Buffer>> = {
  parseComplete: message('1'),
  bindComplete: message('2'),
  closeComplete: message('3'),
  notification: message('A', 7, text('channel'), text('payload')),
  commandComplete: message('C', text('SELECT 1')),
  commit: message('C', text('COMMIT')),
  dataRow: dataRow('1'),
  wideRow: dataRow('1', '2', '3'),
  emptyRow: dataRow(),
  error: errorResponse('ERROR', '22012', 'division by zero'),
  fatal: errorResponse('FATAL', '57P01', 'terminating connection due to administrator command'),
  notice: errorResponse('NOTICE', '00000', 'by the way', 'N'),
  copyIn: message('G', '\0', int16(1), int16(0)),
  copyOut: message('H', '\0', int16(1), int16(0)),
  copyBoth: message('W', '\0', int16(1), int16(0)),
  copyData: message('d', 'a row\n'),
  copyDone: message('c'),
  emptyQuery: message('I'),
  backendKeyData: message('K', 99, 99),
  noData: message('n'),
  parameterStatus: message('S', text('in_hot_standby'), text('on')),
  parameterDescription: message('t', int16(1), 25),
  portalSuspended: message('s'),
  rowDescription: rowDescription('another'),
  rowDescriptions: rowDescription('one', 'two', 'three'),
  noColumns: rowDescription(),
  readyForQuery: message('Z', 'I'),
  readyInTransaction: message('Z', 'T'),
  readyInWhat: message('Z', '?'),
  authenticationOk: message('R', 0),
  password: message('R', 3),
  md5: message('R', 5, 'salt'),
  sasl: message('R', 10, text('SCRAM-SHA-256'), Buffer.alloc(1)),
  saslWithout: message('R', 10, Buffer.alloc(1)),
  saslContinue: message('R', 11, 'r=nothing,s=of,i=the kind'),
  saslFinal: message('R', 12, 'v=nothing'),
  negotiate: message('v', 0, 0),
  functionCall: message('V', -1),
}

/** Messages that can't be parsed. */
const BROKEN: Readonly<Record<string, Buffer>> = {
  unknownAuthentication: message('R', 4711),
  authenticationWithout: message('R'),
  rowDescriptionOfLess: message('T', int16(-1)),
  rowDescriptionOfMore: message('T', int16(30_000), text('one')),
  dataRowOfLess: message('D', int16(-1)),
  dataRowOfMore: message('D', int16(30_000), int32(1), '1'),
  dataRowBackwards: message('D', int16(30_000), int32(-5), '1'),
  dataRowOfGigabytes: message('D', int16(1), int32(2 ** 31 - 1), '1'),
  parametersOfLess: message('t', int16(-1)),
  copyOfLess: message('G', '\0', int16(-1)),
  copyWithout: message('H'),
  keyWithout: message('K'),
  readyWithout: message('Z'),
  statusWithout: message('S'),
  statusUnended: message('S', 'in_hot_standby'),
  completeWithout: message('C'),
  completeUnended: message('C', 'SELECT 1'),
  completeOfNothing: message('C', text('')),
  notificationWithout: message('A'),
  errorWithout: message('E'),
  errorOfNothing: message('E', Buffer.alloc(1)),
  errorOfUnknown: message('E', text('?what'), Buffer.alloc(1)),
  errorOfBinary: message('E', Buffer.from([255, 254, 0, 0])),
  noticeOfNothing: message('N', Buffer.alloc(1)),
  html: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
  ssh: Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
  mysql: Buffer.from('4a0000000a382e302e3336', 'hex'),
  tlsAlert: Buffer.from('15030300020228', 'hex'),
  tlsHello: Buffer.from('160303004a0200004603', 'hex'),
}

/** Messages that send the driver into an endless loop, unless they are checked before it parses them. */
const ENDLESS: Readonly<Record<string, Buffer>> = {
  errorUnended: message('E', text('SERROR'), text('C22012'), 'Mdivision by zero'),
  errorWithoutLast: message('E', text('SERROR'), text('C22012'), text('Mdivision by zero')),
  noticeUnended: message('N', 'SNOTICE'),
}

const ENDS = ['silence', 'fin', 'reset', 'drip', undefined] as const
const LENGTHS = [0, 1, 3, 4, 5, 8, 100, 29_999, 30_001, 2 ** 24, 2 ** 30, 2 ** 31 - 1, -1, -(2 ** 31)]

type Act = Omit<ServerFault, 'at'>

function put(messages: Readonly<Record<string, Buffer>>): fc.Arbitrary<Act> {
  const where = fc.constantFrom('before', 'instead', 'behind')
  return fc
    .tuple(fc.constantFrom(...Object.keys(messages)), where, fc.constantFrom(...ENDS))
    .map(([name, place, ending]) => ({
      what: `${name} ${place}, then ${ending}`,
      change: (right) => {
        const extra = messages[name] as Buffer
        const bytes = { before: [extra, right], instead: [extra], behind: [right, extra] }[place]
        return { bytes: Buffer.concat(bytes), ...(ending && { ending }) }
      },
    }))
}

const truncated: fc.Arbitrary<Act> = fc.tuple(fc.nat(30), fc.constantFrom(...ENDS)).map(([left, ending]) => ({
  what: `cut after ${left}, then ${ending}`,
  change: (right) => ({ bytes: right.subarray(0, left), ...(ending && { ending }) }),
}))

const mismeasured: fc.Arbitrary<Act> = fc
  .tuple(fc.constantFrom(...LENGTHS), fc.constantFrom(...ENDS))
  .map(([length, ending]) => ({
    what: `claims ${length} bytes, then ${ending}`,
    change: (right) => {
      const bytes = Buffer.from(right)
      if (bytes.length >= 5) bytes.writeInt32BE(length, 1)
      return { bytes, ...(ending && { ending }) }
    },
  }))

const swapped: fc.Arbitrary<Act> = fc.constant({
  what: 'swapped with the next',
  change: (right, next) => (next ? { bytes: Buffer.concat([next, right]), tookNext: true } : { bytes: right }),
})

const doubled: fc.Arbitrary<Act> = fc.constant({
  what: 'doubled',
  change: (right) => ({ bytes: Buffer.concat([right, right]) }),
})

const ended: fc.Arbitrary<Act> = fc.constantFrom(...ENDS).map((ending) => ({
  what: `left out, then ${ending}`,
  change: () => ({ bytes: Buffer.alloc(0), ...(ending && { ending }) }),
}))

const dripping: fc.Arbitrary<Act> = fc.constant({
  what: 'a byte a second',
  change: (right) => ({ bytes: right, ending: 'drip' }),
})

const unknown: fc.Arbitrary<Act> = fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 40 })).map(([letter, body]) => ({
  what: `letter ${letter} with ${Buffer.from(body).toString('hex')}`,
  change: () => ({ bytes: message(String.fromCharCode(letter), Buffer.from(body)) }),
}))

const flipped: fc.Arbitrary<Act> = fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 255 })).map(([place, bits]) => ({
  what: `byte ${place} is changed by ${bits}`,
  change: (right) => {
    const bytes = Buffer.from(right)
    if (bytes.length > 0) bytes.writeUInt8(bytes.readUInt8(place % bytes.length) ^ bits, place % bytes.length)
    return { bytes }
  },
}))

const garbage: fc.Arbitrary<Act> = fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => ({
  what: `garbage: ${Buffer.from(bytes).toString('hex')}`,
  change: () => ({ bytes: Buffer.from(bytes) }),
}))

/** One fault, at one of the first messages. Without `endless`, none that sends the driver into an endless loop. */
export function serverFaults(endless: boolean): fc.Arbitrary<ServerFault> {
  const kinds = [put(UNASKED), put(BROKEN), truncated, mismeasured, swapped, doubled, ended, dripping]
  const acts = fc.oneof(...kinds, ...(endless ? [put(ENDLESS), unknown, flipped, garbage] : []))
  return fc.tuple(fc.nat(45), acts).map(([at, act]) => ({ at, ...act }))
}
