import type { EventEmitter } from 'node:events'
import type { PoolClient } from 'pg'
import { ReleaseError } from '../errors.ts'
import { type Lease, RELEASED } from './lease.ts'
import type { Listening } from './lease-listeners.ts'
import { type ClientNotes, notesOn } from './lease-notes.ts'
import type { LeasedClient } from './physical-client.ts'
import { type QueryArguments, refuseQuery } from './refuse-query.ts'

/** What the client of a lease asks its connection. */
export interface LeaseOwner {
  /** The client itself, which all leases of the connection have in common. */
  readonly client: LeasedClient
  /** The present lease, or the last. */
  readonly lease: Lease
  /** Whether the connection was lost. */
  readonly isLost: boolean
  /** Whether it has left the pool. */
  isGone(): boolean
  /**
   * Ends the lease with this number.
   *
   * @throws {ReleaseError} if it was never lent, or has ended.
   */
  endLease(number: number, discard?: Error | boolean): void
}

/** Makes what the holder of the present lease gets. */
export type MakeLeasedClient = (lender: LeaseOwner) => LeasedClient

type ClientOfLeaseClass = new (lender: LeaseOwner) => LeasedClient

/**
 * The client itself, behind what `connect()` gave: the same at each lease of a connection, and the one that
 * `pool.on('connect')` tells. For what is kept per connection, such as a `WeakMap`. Any other client is returned as it is.
 *
 * @example
 * ```ts
 * const client = await pool.connect()
 * preparedOn.add(physicalClient(client))
 * ```
 */
export function physicalClient<Client extends PoolClient>(client: Client): Client {
  return (client as Client & { readonly [ITSELF]?: Client })[ITSELF] ?? client
}

/** By this the lease is found, whatever a caller has put around its client: a Proxy, or an object that inherits from it. */
const LEASED = Symbol('leased')
const ITSELF = Symbol('physical client')
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

// One for each class of clients, as with those.
const CLASSES = new WeakMap<object, ClientOfLeaseClass>()

/** How such clients are lent: each time behind an object of its own, or themselves, with a `release` for each lease. */
export function leasedClientFactory(client: LeasedClient, isPerLease: boolean): MakeLeasedClient {
  if (!isPerLease) return renewRelease
  const prototype: object = Object.getPrototypeOf(client)
  const ClientOfLease = CLASSES.get(prototype) ?? derive(client, prototype)
  CLASSES.set(prototype, ClientOfLease)
  return (lender) => {
    lender.lease.lend()
    return new ClientOfLease(lender)
  }
}

function renewRelease(lender: LeaseOwner): LeasedClient {
  const { client, lease } = lender
  const { number } = lease
  lease.lend()
  client.release = (discard) => lender.endLease(number, discard)
  return client
}

// biome-ignore lint/suspicious/noExplicitAny: any method of any class of clients.
type Method = (...all: any[]) => any

/**
 * What a caller holds: a client for this lease alone. What it reads is the client's; what it does asks the lease first, and
 * is refused for good once that has ended. An object of a class, and no Proxy, which would make a lease half as dear again;
 * only behind the class is one, for what it doesn't have.
 */
function derive(common: LeasedClient, prototype: object): ClientOfLeaseClass {
  class ClientOfLease {
    readonly [LEASED] = this
    readonly #lender: LeaseOwner
    readonly #number: number
    // Not a method, since it is called by itself as well: `connect(callback)` gives it as its third argument.
    release: LeasedClient['release'] = (discard) => ClientOfLease.#giveBack(this, discard)
    #methods: Map<PropertyKey, Method> | undefined = undefined

    constructor(lender: LeaseOwner) {
      this.#lender = lender
      this.#number = lender.lease.number
      if (notes.areSought) notes.mirror(lender.client, this)
    }

    query(...call: unknown[]): unknown {
      const self = this[LEASED]
      // Taken from here, and called on another client.
      if (!self) return Reflect.apply(Reflect.get(prototype, 'query') as Method, this, call)
      const { client, lease, isLost } = self.#lender
      if (lease.isHeld(self.#number)) return (client.query as Method)(...call)
      // Nobody else gets a lost connection, and all calls on it tell of the loss.
      if (isLost && ClientOfLease.#isLast(self)) return (client.query as Method)(...call)
      return refuseQuery(client, call as unknown as QueryArguments, new ReleaseError(RELEASED))
    }

    end(callback?: unknown): unknown {
      const self = this[LEASED]
      const client = self.#lender.client as unknown as { readonly end: Method }
      if (ClientOfLease.#isHeld(self) || (ClientOfLease.#isLast(self) && self.#lender.isGone()))
        return client.end(callback)
      const refusal = new ReleaseError(RELEASED)
      if (typeof callback !== 'function') return Promise.reject(refusal)
      process.nextTick(callback as Method, refusal)
      return undefined
    }

    // Read when a scope is entered: leaving it releases this lease, if that hasn't happened already.
    get [Symbol.dispose](): () => void {
      const self = this[LEASED]
      const { release } = self
      return () => {
        if (ClientOfLease.#isHeld(self)) release()
      }
    }

    get [Symbol.asyncDispose](): () => Promise<void> {
      const dispose = this[Symbol.dispose]
      return async () => dispose()
    }

    on(event: string, listener: Method): unknown {
      return ClientOfLease.#listen(this[LEASED], 'on', event, listener)
    }

    once(event: string, listener: Method): unknown {
      return ClientOfLease.#listen(this[LEASED], 'once', event, listener)
    }

    prependListener(event: string, listener: Method): unknown {
      return ClientOfLease.#listen(this[LEASED], 'prependListener', event, listener)
    }

    prependOnceListener(event: string, listener: Method): unknown {
      return ClientOfLease.#listen(this[LEASED], 'prependOnceListener', event, listener)
    }

    removeListener(event: string, listener: Method): unknown {
      const self = this[LEASED]
      const client = self.#lender.client as EventEmitter
      const isOwn = ClientOfLease.#isLast(self) && self.#lender.lease.listenersOn(client).remove(event, listener)
      if (ClientOfLease.#isLast(self) && !isOwn) client.removeListener(event, listener)
      return self
    }

    removeAllListeners(...named: [event?: string]): unknown {
      const self = this[LEASED]
      const client = self.#lender.client as EventEmitter
      if (!ClientOfLease.#isLast(self)) return self
      client.removeAllListeners(...(named as [string]))
      self.#lender.lease.listenersOn(client).forget(named[0])
      return self
    }

    /** Nothing, when somebody else has had the connection since. */
    static #unlessPassedOn(self: ClientOfLease, name: string, all: readonly unknown[]): unknown {
      const client = self.#lender.client as unknown as Record<string, Method>
      return ClientOfLease.#isLast(self) ? client[name]?.(...all) : undefined
    }

    emit(...all: unknown[]): unknown {
      return ClientOfLease.#unlessPassedOn(this[LEASED], 'emit', all) ?? false
    }

    setMaxListeners(...all: unknown[]): unknown {
      ClientOfLease.#unlessPassedOn(this[LEASED], 'setMaxListeners', all)
      return this[LEASED]
    }

    setTypeParser(...all: unknown[]): unknown {
      return ClientOfLease.#unlessPassedOn(this[LEASED], 'setTypeParser', all)
    }

    ref(): void {
      ClientOfLease.#unlessPassedOn(this[LEASED], 'ref', [])
    }

    unref(): void {
      ClientOfLease.#unlessPassedOn(this[LEASED], 'unref', [])
    }

    get [ITSELF](): LeasedClient {
      return this[LEASED].#lender.client
    }

    [INSPECT](_depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
      return inspect(this[ITSELF], options)
    }

    /** Whose properties are asked for; a copy of one is none. */
    static of(receiver: unknown, key: PropertyKey): ClientOfLease | undefined {
      const self = key === LEASED ? undefined : (receiver as Partial<ClientOfLease>)[LEASED]
      return self && #lender in self ? self : undefined
    }

    /** What isn't here is the client's. */
    static read(self: ClientOfLease, key: PropertyKey): unknown {
      const { client } = self.#lender
      const value: unknown = Reflect.get(client, key)
      if (typeof value !== 'function' || key === 'constructor' || Object.hasOwn(client, key)) return value
      const method = self.#methods?.get(key) ?? ClientOfLease.#callOn(self, client, key)
      self.#methods ??= new Map()
      self.#methods.set(key, method)
      return method
    }

    /** What the client has is written to it, and what is new is noted on it: the next holder finds it. Methods aren't. */
    static write(self: ClientOfLease, key: PropertyKey, value: unknown): boolean {
      const { client } = self.#lender
      if (ClientOfLease.#isLast(self) && !isMethod(client, key)) return Reflect.set(client, key, value)
      return Reflect.defineProperty(self, key, { value, writable: true, enumerable: true, configurable: true })
    }

    /** With the client as `this`: it may have fields that only it can read. What returns the client returns this one. */
    static #callOn(self: ClientOfLease, client: LeasedClient, key: PropertyKey): Method {
      return (...all) => {
        const result = Reflect.apply(Reflect.get(client, key) as unknown as Method, client, all)
        return result === client ? self : result
      }
    }

    // Static, as are the others below: private methods of its own would cost each lease a field more.

    /** Whether nobody else has had the connection since. */
    static #isLast(self: ClientOfLease): boolean {
      return self.#lender.lease.number === self.#number
    }

    static #isHeld(self: ClientOfLease): boolean {
      return self.#lender.lease.isHeld(self.#number)
    }

    static #giveBack(self: ClientOfLease, discard: Error | boolean | undefined): void {
      if (notes.areSought && ClientOfLease.#isHeld(self)) ClientOfLease.#keepNotes(self)
      self.#lender.endLease(self.#number, discard)
    }

    /** In a function of its own: its closure costs nothing where nobody looks for notes. */
    static #keepNotes(self: ClientOfLease): void {
      const { client } = self.#lender
      notes.keep(client, self, (key) => isMethod(client, key))
    }

    static #listen(self: ClientOfLease, how: Listening, event: string, listener: Method): unknown {
      const { client, lease } = self.#lender
      const emitter = client as EventEmitter
      if (typeof listener !== 'function') return emitter[how](event, listener) // Throws Node's own TypeError.
      if (ClientOfLease.#isLast(self)) lease.listenersOn(emitter).add(how, event, listener, self)
      return self
    }
  }

  const notes: ClientNotes = notesOn(common)
  const { on, removeListener } = Object.getOwnPropertyDescriptors(ClientOfLease.prototype)
  Object.defineProperties(ClientOfLease.prototype, {
    constructor: { value: common.constructor, writable: true, configurable: true },
    addListener: on,
    off: removeListener,
    // `await` asks for it each time.
    // biome-ignore lint/suspicious/noThenProperty: so that it is found here, not to be called.
    then: { value: undefined, writable: true, configurable: true },
  })
  const behind = new Proxy(prototype, {
    get(target, key, receiver) {
      const self = ClientOfLease.of(receiver, key)
      return self ? ClientOfLease.read(self, key) : Reflect.get(target, key)
    },
    set(target, key, value, receiver) {
      const self = ClientOfLease.of(receiver, key)
      return self ? ClientOfLease.write(self, key, value) : Reflect.set(target, key, value, receiver)
    },
    has: (target, key) => key in target || notes.isDrivers(key),
  })
  Object.setPrototypeOf(ClientOfLease.prototype, behind)
  return ClientOfLease as unknown as ClientOfLeaseClass
}

/** Whoever replaces a method may well call the method of his own lease: so that isn't for the next one. */
function isMethod(client: LeasedClient, key: PropertyKey): boolean {
  return key in Object.getPrototypeOf(client) && typeof Reflect.get(client, key) === 'function'
}
