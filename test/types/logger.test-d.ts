import type { Logger, PoolOptions } from '@holdfast/core'
import type pino from 'pino'
import { expectTypeOf, test } from 'vitest'
import type winston from 'winston'

test('console, pino and winston are loggers', () => {
  expectTypeOf<Console>().toExtend<Logger>()
  expectTypeOf<pino.Logger>().toExtend<Logger>()
  expectTypeOf<winston.Logger>().toExtend<Logger>()
})

test('a child of a logger is one', () => {
  expectTypeOf<ReturnType<pino.Logger['child']>>().toExtend<Logger>()
  expectTypeOf<ReturnType<winston.Logger['child']>>().toExtend<Logger>()
})

test('a pool takes them', () => {
  expectTypeOf<{ logger: Console; echo: 'debug' }>().toExtend<PoolOptions>()
  expectTypeOf<{ logger: pino.Logger; echo: true }>().toExtend<PoolOptions>()
  expectTypeOf<{ logger: winston.Logger; echo: false }>().toExtend<PoolOptions>()
})

test('what lacks a level, or wants more than a message, is none', () => {
  expectTypeOf<Omit<Logger, 'debug'>>().not.toExtend<Logger>()
  expectTypeOf<Record<keyof Logger, (message: string, more: string) => void>>().not.toExtend<Logger>()
  expectTypeOf<{ echo: 'info' }>().not.toExtend<PoolOptions>()
})
