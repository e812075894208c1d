import { describe, expect, test } from 'vitest'
import { Conversation, FrameReader } from './frames.ts'
import { type Message, MessageReader, type Progress, Replies, Statements } from './messages.ts'

function encode(letter: string, body: string): Buffer {
  const header = Buffer.alloc(5)
  header.write(letter)
  header.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([header, Buffer.from(body)])
}

const startup = Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0])

/** What comes out of a reader, message by message, and all the bytes. */
function readAll(reader: MessageReader, chunks: readonly Buffer[]): { messages: Message[]; bytes: Buffer } {
  const frames = new FrameReader(new Conversation(), 'to-server')
  const results = chunks.flatMap((chunk) => [...frames.read(chunk)]).map((piece) => reader.read(piece))
  return {
    messages: results.flatMap(({ message }) => message ?? []),
    bytes: Buffer.concat(results.flatMap(({ bytes }) => bytes ?? [])),
  }
}

function message(letter: string, body = ''): Message {
  return { letter, body: Buffer.from(body) }
}

describe('MessageReader', () => {
  const sent = Buffer.concat([startup, encode('Q', 'begin\0'), encode('d', 'a line'), encode('Q', 'commit\0')])

  test('the message reader puts messages together, however they are cut, and loses and adds nothing', () => {
    for (const chunks of [[sent], [...sent].map((byte) => Buffer.from([byte]))]) {
      const { messages, bytes } = readAll(new MessageReader('Q'), chunks)
      expect(messages.map(({ letter, body }) => letter + body.toString())).toEqual(['Qbegin\0', 'd', 'Qcommit\0'])
      expect(bytes).toEqual(sent)
    }
  })

  test('the message reader keeps a message that is read back until it is whole, and no other', () => {
    expect(readAll(new MessageReader('Q'), [sent.subarray(0, -1)]).bytes).toEqual(
      Buffer.concat([startup, encode('Q', 'begin\0'), encode('d', 'a line')]),
    )
    expect(readAll(new MessageReader(''), [sent.subarray(0, -1)]).bytes).toEqual(sent.subarray(0, -1))
  })
})

describe('Statements', () => {
  test('the reader of statements knows the text of a simple query, with all its statements', () => {
    expect(new Statements().textOf(message('Q', 'select 1; commit\0'))).toBe('select 1; commit')
  })

  test('the reader of statements knows what is executed by what was prepared, also without names, and whatever came in between', () => {
    const statements = new Statements()
    expect(statements.textOf(message('P', 'end\0commit\0\0\0'))).toBeUndefined()
    expect(statements.textOf(message('P', '\0select $1\0\0\0'))).toBeUndefined()
    expect(statements.textOf(message('B', 'portal\0end\0\0\0'))).toBeUndefined()
    expect(statements.textOf(message('B', '\0\0\0\0'))).toBeUndefined()
    expect(statements.textOf(message('E', '\0\0\0\0\0'))).toBe('select $1')
    expect(statements.textOf(message('E', 'portal\0\0\0\0\0'))).toBe('commit')
    statements.textOf(message('P', '\0begin\0\0\0'))
    statements.textOf(message('B', '\0\0\0\0'))
    expect(statements.textOf(message('E', '\0\0\0\0\0'))).toBe('begin')
  })
})

describe('Replies', () => {
  /** What each of the server's messages is to the last of the client's that runs something. */
  function progress(asked: string, answered: string): Progress[] {
    const replies = new Replies()
    const request = [...asked].map((letter) => replies.ask(letter)).findLast((each) => each !== undefined)
    if (!request) throw new Error('Nothing is asked.')
    return [...answered].map((letter) => {
      const result = replies.progress(request, letter)
      replies.answer(letter)
      return result
    })
  }

  test('the reader of replies does not take the end of the log-in for a reply', () => {
    expect(progress('Q', 'RSKZCZ')).toEqual(['none', 'none', 'none', 'none', 'some', 'done'])
  })

  test('the reader of replies has the reply to a simple query with its end, or with its error', () => {
    expect(progress('Q', 'ZTDCCZ')).toEqual(['none', 'some', 'some', 'some', 'some', 'done'])
    expect(progress('Q', 'ZCE')).toEqual(['none', 'some', 'done'])
  })

  test('the reader of replies does not take what comes unasked for a reply', () => {
    expect(progress('Q', 'ZANSC')).toEqual(['none', 'none', 'none', 'none', 'some'])
  })

  test('the reader of replies distinguishes the replies to requests that were sent together', () => {
    expect(progress('QQ', 'ZCZCZ')).toEqual(['none', 'none', 'none', 'some', 'done'])
    expect(progress('PBESPBES', 'Z12CZ12CZ')).toEqual([...Array(5).fill('none'), 'some', 'some', 'done', 'done'])
  })

  test('the reader of replies distinguishes executions that end together', () => {
    expect(progress('PBDEBE', 'Z12TDC2IZ')).toEqual([...Array(6).fill('none'), 'some', 'done', 'done'])
    expect(progress('BEBES', 'Z2E')).toEqual(['none', 'none', 'done'])
  })

  test('the reader of replies has a reply when the server asks for the data of a COPY', () => {
    expect(progress('Q', 'ZG')).toEqual(['none', 'done'])
  })
})
