import { describe, expect, test } from 'vitest'
import { Conversation, type Direction, FrameReader, type Piece } from './frames.ts'
import { type CutKind, corruptNext, cutInsideNext, type Treatment } from './treatment.ts'

const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const startup = Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0])
const record = (type: number, body: string): Buffer =>
  Buffer.concat([Buffer.from([type, 3, 3, 0, body.length]), Buffer.from(body)])
const message = (type: string, body: string): Buffer =>
  Buffer.concat([Buffer.from(type), Buffer.from([0, 0, 0, body.length + 4]), Buffer.from(body)])

function oneByOne(bytes: Buffer): Buffer[] {
  return [...bytes].map((byte) => Buffer.from([byte]))
}

/** A conversation up to the server's yes to TLS. */
function tlsConversation(): Record<Direction, FrameReader> {
  const conversation = new Conversation()
  const readers = {
    'to-server': new FrameReader(conversation, 'to-server'),
    'to-client': new FrameReader(conversation, 'to-client'),
  }
  read(readers['to-server'], sslRequest)
  read(readers['to-client'], Buffer.from('S'))
  return readers
}

function read(reader: FrameReader, ...chunks: Buffer[]): Piece[] {
  return chunks.flatMap((chunk) => [...reader.read(chunk)])
}

function summary(pieces: readonly Piece[]): string[] {
  return pieces.filter(({ offset }) => offset === 0).map(({ frame }) => `${frame.kind} ${frame.type} ${frame.length}`)
}

describe('FrameReader', () => {
  test('the frame reader knows a request for TLS, its answer and the records that follow', () => {
    const conversation = new Conversation()
    const toServer = new FrameReader(conversation, 'to-server')
    const toClient = new FrameReader(conversation, 'to-client')
    expect(summary(read(toServer, sslRequest))).toEqual(['startup 0 8'])
    expect(summary(read(toClient, Buffer.from('S')))).toEqual(['answer 83 1'])
    expect(summary(read(toServer, record(22, 'hello')))).toEqual(['tls-record 22 10'])
    expect(summary(read(toClient, Buffer.concat([record(22, 'hi'), record(23, 'data')])))).toEqual([
      'tls-record 22 7',
      'tls-record 23 9',
    ])
  })

  test('the frame reader knows messages when there is no TLS, also after the server has said no to it', () => {
    const conversation = new Conversation()
    const toServer = new FrameReader(conversation, 'to-server')
    const toClient = new FrameReader(conversation, 'to-client')
    read(toServer, sslRequest)
    read(toClient, Buffer.from('N'))
    expect(summary(read(toServer, startup, message('Q', 'select 1')))).toEqual(['startup 0 9', 'message 81 13'])
    expect(summary(read(toClient, message('Z', 'I')))).toEqual(['message 90 6'])
  })

  test('the frame reader knows TLS that begins without being asked for', () => {
    const reader = new FrameReader(new Conversation(), 'to-server')
    expect(summary(read(reader, record(22, 'hello')))).toEqual(['tls-record 22 10'])
  })

  test('the frame reader finds the same frames however they are spread over chunks, and loses no byte', () => {
    const stream = Buffer.concat([record(22, 'first'), record(23, 'second'), record(23, 'third')])
    const whole = read(tlsConversation()['to-client'], stream)
    const byBytes = read(tlsConversation()['to-client'], ...oneByOne(stream))
    expect(summary(byBytes)).toEqual(summary(whole))
    expect(Buffer.concat(byBytes.map(({ bytes }) => bytes))).toEqual(stream)
  })

  test('the frame reader lets what is not Postgres through as it comes', () => {
    const conversation = new Conversation()
    const toServer = new FrameReader(conversation, 'to-server')
    const toClient = new FrameReader(conversation, 'to-client')
    expect(summary(read(toServer, Buffer.from('GET / HTTP/1.1')))).toEqual(['opaque 71 14'])
    expect(summary(read(toClient, Buffer.from('x')))).toEqual(['opaque 120 1'])
  })

  test('the frame reader hands out the beginning of a header when the stream ends inside it', () => {
    const reader = tlsConversation()['to-client']
    expect(read(reader, Buffer.from([23, 3]))).toEqual([])
    expect([...reader.rest()].map(({ bytes }) => [...bytes])).toEqual([[23, 3]])
    expect([...reader.rest()]).toEqual([])
  })
})

describe('treatments', () => {
  function treat(treatment: Treatment, pieces: readonly Piece[]): { forwarded: Buffer; cuts: CutKind[] } {
    const forwarded: Buffer[] = []
    const cuts: CutKind[] = []
    let isPassing = false
    for (const piece of pieces) {
      if (cuts.length > 0) break
      if (isPassing) {
        forwarded.push(piece.bytes)
        continue
      }
      treatment.treat(piece, {
        forward: (bytes) => void forwarded.push(bytes),
        cut: (kind) => void cuts.push(kind),
        pass: () => {
          isPassing = true
        },
      })
    }
    return { forwarded: Buffer.concat(forwarded), cuts }
  }

  const stream = Buffer.concat([record(22, 'handshake'), record(23, 'ab'), record(23, 'cd')])
  const differences = (bytes: Buffer): number[] => [...bytes.keys()].filter((index) => bytes[index] !== stream[index])

  test('treatments corrupt exactly one byte, in the body of the next record with data, also when it comes byte by byte', () => {
    for (const chunks of [[stream], oneByOne(stream)]) {
      const settled: boolean[] = []
      const treatment = corruptNext((hit) => settled.push(hit))
      const { forwarded } = treat(treatment, read(tlsConversation()['to-client'], ...chunks))
      expect(forwarded.length).toBe(stream.length)
      expect(differences(forwarded)).toEqual([stream.indexOf('ab') + 1])
      treatment.dropped?.()
      expect(settled).toEqual([true])
    }
  })

  test('treatments let a record alone of which some bytes were through before', () => {
    const reader = tlsConversation()['to-client']
    read(reader, stream.subarray(0, stream.indexOf('ab')))
    const pieces = read(reader, stream.subarray(stream.indexOf('ab')))
    const { forwarded } = treat(
      corruptNext(() => {}),
      pieces,
    )
    expect(forwarded.subarray(0, 2).toString()).toBe('ab')
    expect(forwarded.toString()).not.toContain('cd')
  })

  test('treatments cut in the middle of a record', () => {
    const settled: boolean[] = []
    const pieces = read(tlsConversation()['to-client'], ...oneByOne(stream))
    const { forwarded, cuts } = treat(
      cutInsideNext('rst', (hit) => settled.push(hit)),
      pieces,
    )
    expect(forwarded).toEqual(stream.subarray(0, stream.indexOf('ab') + 1))
    expect(cuts).toEqual(['rst'])
    expect(settled).toEqual([true])
  })

  test('treatments say so when they never got to act', () => {
    const settled: boolean[] = []
    corruptNext((hit) => settled.push(hit)).dropped?.()
    expect(settled).toEqual([false])
  })
})
