import { Duplex } from 'node:stream'
import pg from 'pg'
import { expect, test } from 'vitest'
import { Pipeline, queryOf, whenSent } from '../../../packages/core/src/driver/pipeline.ts'

interface Writing {
  readonly client: pg.Client
  readonly pipeline: Pipeline
  /** The messages of each write, by their first letters. */
  readonly writes: string[]
}

/** A client whose server is ready, on a socket that keeps what is written. */
function writing(): Writing {
  const writes: string[] = []
  const letterOf = (chunk: Buffer): string => String.fromCharCode(chunk[0] as number)
  const stream = new Duplex({
    read: () => {},
    write: (chunk, _encoding, done) => {
      writes.push(letterOf(chunk))
      done()
    },
    writev: (chunks, done) => {
      writes.push(chunks.map(({ chunk }) => letterOf(chunk)).join(''))
      done()
    },
  })
  const client = new pg.Client({ stream: () => stream as never })
  const pipeline = new Pipeline(client)
  Object.assign(client, { readyForQuery: true })
  return { client, pipeline, writes }
}

const ignore = (): void => {}

test('a statement with parameters is sent in one write: Parse, Bind, Describe, Execute, Sync', () => {
  const { client, writes } = writing()
  client.query('select $1::int', [1], ignore)
  expect(writes).toEqual(['PBDES'])
})

test('a statement that is sent early goes out in one write with the statement before it', () => {
  const { client, pipeline, writes } = writing()
  pipeline.inOneWrite(() => {
    client.query('insert into t values ($1)', [1], ignore)
    pipeline.sendEarly(queryOf('select 2', ignore))
  })
  expect(writes).toEqual(['PBDESQ'])
})

test('statements that follow another one are one write, when all that has arrived is read', async () => {
  const { client, pipeline, writes } = writing()
  client.query('select $1::int', [1], ignore)
  for (const value of [2, 3]) pipeline.follow(() => client.query('select $1::int', [value], ignore))
  expect(writes).toEqual(['PBDES'])
  await new Promise<void>((resolve) => setImmediate(resolve))
  expect(writes).toEqual(['PBDES', 'PBDESPBDES'])
})

test('without parameters, two statements joined by inOneWrite are one write as well', () => {
  const { client, pipeline, writes } = writing()
  pipeline.inOneWrite(() => {
    client.query('begin', ignore)
    pipeline.sendEarly(queryOf('select 2', ignore))
  })
  expect(writes).toEqual(['QQ'])
})

test('a statement behind another one waits in the queue, and can be taken back once', () => {
  const { pipeline, writes } = writing()
  pipeline.enqueue(queryOf('select 1', ignore))
  const second = queryOf('select 2', ignore)
  expect(pipeline.queuedBy(() => pipeline.enqueue(second))).toBe(second)
  expect([pipeline.isBusy, pipeline.isIdle]).toEqual([true, false])
  expect([pipeline.takeBack(second), pipeline.takeBack(second)]).toEqual([true, false])
  expect(writes).toEqual(['Q'])
})

test('while the pipeline is held, nothing is sent; afterwards, the queue is', () => {
  const { pipeline, writes } = writing()
  const resume = pipeline.hold()
  let isSent = false
  const query = queryOf('select 1', ignore)
  whenSent(query, (submit) => {
    isSent = true
    return submit()
  })
  pipeline.enqueue(query)
  expect([isSent, writes]).toEqual([false, []])
  resume()
  expect([isSent, writes]).toEqual([true, ['Q']])
})
