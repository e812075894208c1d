import 'reflect-metadata'
import { drain, holdfast } from '@holdfast/typeorm'
import { Controller, Get, Inject, Injectable, Module, ServiceUnavailableException } from '@nestjs/common'
import { ConfigModule, ConfigService } from '@nestjs/config'
import { NestFactory } from '@nestjs/core'
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm'

// A NestJS application as docs/typeorm.md sets it up. In JavaScript, so with its decorators called by hand.

const { DRAIN_MILLIS, RECIPE, CLOSE_TIMEOUT_MILLIS } = process.env
const drainMillis = Number(DRAIN_MILLIS)
const requests = { begun: 0, done: 0 }

class Work {
  constructor(dataSource) {
    this.dataSource = dataSource
  }

  /** Two statements, so that a request has no connection for a moment. */
  async work() {
    requests.begun++
    process.send({ begun: requests.begun })
    const [{ one }] = await this.dataSource.query('select 1 as one, pg_sleep(0.01)')
    await new Promise((resolve) => setTimeout(resolve, 5))
    const [{ two }] = await this.dataSource.query('select 2 as two')
    requests.done++
    return { one, two }
  }

  /** Goes on in the background: its request is answered at once. */
  background() {
    const transaction = this.dataSource.transaction(async (manager) => {
      await manager.query("insert into entry values ('in the background')")
      process.send({ isInBackground: true })
      await manager.query('select pg_sleep(1)')
    })
    transaction.catch((error) => process.send({ failure: error.message }))
  }
}
Inject(getDataSourceToken())(Work, undefined, 0)
route(Work, 'work')
route(Work, 'background')
Controller()(Work)

/** As docs/frameworks.md shows it. */
class Health {
  constructor(dataSource) {
    this.dataSource = dataSource
  }

  async ready() {
    const pool = this.dataSource.driver.master
    await pool.ping({ timeoutMillis: 1000 }).catch((error) => {
      throw new ServiceUnavailableException(error.message)
    })
    return { database: 'up', waiting: pool.status().waiting }
  }
}
Inject(getDataSourceToken())(Health, undefined, 0)
route(Health, 'ready')
Controller()(Health)

function route(controller, name) {
  Get(name)(controller.prototype, name, Object.getOwnPropertyDescriptor(controller.prototype, name))
}

class Shutdown {
  #isLeaving = false
  #open = new Set()

  constructor(dataSource) {
    this.dataSource = dataSource
  }

  use = (_request, response, next) => {
    if (this.#isLeaving) response.setHeader('Connection', 'close')
    this.#open.add(response)
    response.on('close', () => this.#open.delete(response))
    next()
  }

  beforeApplicationShutdown() {
    this.#isLeaving = true
    for (const response of this.#open) if (!response.headersSent) response.setHeader('Connection', 'close')
    if (RECIPE === 'drain') void drain(this.dataSource, drainMillis)
  }

  async onApplicationShutdown() {
    process.send({ requests }) // The HTTP server is closed.
    if (RECIPE === 'drain') await drain(this.dataSource, drainMillis)
  }
}
Inject(getDataSourceToken())(Shutdown, undefined, 0)
Injectable()(Shutdown)

class AppModule {}
Module({
  imports: [
    ConfigModule.forRoot({ ignoreEnvFile: true }),
    TypeOrmModule.forRootAsync({
      imports: [ConfigModule],
      inject: [ConfigService],
      useFactory: (config) => ({
        ...holdfast({
          type: 'postgres',
          url: config.getOrThrow('DATABASE_URL'),
          connectTimeoutMS: 600_000,
          holdfast: { closeTimeoutMillis: Number(CLOSE_TIMEOUT_MILLIS) },
        }),
        autoLoadEntities: true,
        retryAttempts: 1,
      }),
    }),
  ],
  controllers: [Work, Health],
  providers: [Shutdown],
})(AppModule)

const app = await NestFactory.create(AppModule, { logger: ['fatal'] })
app.enableShutdownHooks()
app.use(app.get(Shutdown).use)
app.getHttpServer().keepAliveTimeout = 60_000 // Longer than the tests wait.
await app.listen(0, '127.0.0.1')
process.send({ url: await app.getUrl() })
