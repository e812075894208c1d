import type { EventEmitter } from 'node:events'
import { PID_PROPERTY } from '../driver/internals.ts'
import { ReleaseError } from '../errors.ts'
import type { ClientOwner } from './client-owner.ts'
import { MOVE, STAY } from './first-call.ts'
import { type LeaseView, RELEASED } from './lease.ts'
import type { Listening } from './lease-listeners.ts'
import { type ClientNotes, isMethod, notesOn } from './lease-notes.ts'
import type { LeasedClient } from './physical-client.ts'
import type { QueryArguments } from './query-arguments.ts'
import { refuseQuery } from './query-arguments.ts'

/** The connection, as the client of a lease sees it. */
export interface LeaseOwner extends Pick<ClientOwner, 'isLost' | 'endLease'> {
  readonly lease: LeaseView
  /** The physical client, which all leases of the connection have in common. */
  readonly client: LeasedClient
  /** Whether it has left the pool. */
  isGone(): boolean
}

/** Makes the client of a lease. */
export type LeaseHandleClass = new (owner: LeaseOwner) => LeasedClient

/** Finds the client of the lease also from a Proxy around it, or an object that inherits from it. */
const LEASED = Symbol('leased')
/** The property by which the client of a lease gives its physical client. */
export const PHYSICAL: unique symbol = Symbol('physical client')
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

// biome-ignore lint/suspicious/noExplicitAny: any method of any class of clients.
type Method = (...all: any[]) => any

/**
 * Derives the class of what callers get: a client for one lease alone. It reads the properties of the physical client. Its
 * methods ask the lease first, and refuse for good once the lease has ended. It is an object of a class, and no Proxy, which
 * would make a lease half as dear again. Only the prototype is a Proxy, for what the class doesn't have.
 */
export function deriveLeaseHandle(common: LeasedClient, prototype: object): LeaseHandleClass {
  class LeaseHandle {
    readonly [LEASED] = this
    #owner: LeaseOwner
    #number: number
    // Not a method, since it is also called without its client: `connect(callback)` passes it as the third argument.
    release: LeasedClient['release'] = (discard) => {
      if (notes.areUsed) LeaseHandle.#keepNotes(this)
      this.#owner.endLease(this.#number, discard)
    }
    #methods: Map<PropertyKey, Method> | undefined = undefined

    constructor(owner: LeaseOwner) {
      this.#owner = owner
      this.#number = owner.lease.number
      if (notes.areUsed) notes.show(owner.client, this)
    }

    query(...args: unknown[]): unknown {
      const self = this[LEASED]
      // A program has taken this method and calls it on another client.
      if (!self) return Reflect.apply(Reflect.get(prototype, 'query') as Method, this, args)
      const { client, lease, isLost } = self.#owner
      if (lease.isHeld(self.#number)) {
        // What programs have noted on the physical client can't be taken along.
        if (!notes.areUsed) lease.noteCall(self, args)
        return (client.query as Method)(...args)
      }
      // A lost connection is never leased again, and each call on it reports the loss.
      if (isLost && LeaseHandle.#isLast(self)) return (client.query as Method)(...args)
      return refuseQuery(client, args as unknown as QueryArguments, new ReleaseError(RELEASED))
    }

    end(callback?: unknown): unknown {
      const self = this[LEASED]
      const client = self.#owner.client as unknown as { readonly end: Method }
      if (LeaseHandle.#isHeld(self) || (LeaseHandle.#isLast(self) && self.#owner.isGone())) return client.end(callback)
      const refusal = new ReleaseError(RELEASED)
      if (typeof callback !== 'function') return Promise.reject(refusal)
      process.nextTick(callback as Method, refusal)
      return undefined
    }

    // `using` reads it when the scope is entered. Leaving the scope releases this lease, unless it was released before.
    get [Symbol.dispose](): () => void {
      const self = this[LEASED]
      const { release } = self
      return () => {
        if (LeaseHandle.#isHeld(self)) release()
      }
    }

    get [Symbol.asyncDispose](): () => Promise<void> {
      const dispose = this[Symbol.dispose]
      return async () => dispose()
    }

    on(event: string, listener: Method): unknown {
      return LeaseHandle.#addListener(this[LEASED], 'on', event, listener)
    }

    once(event: string, listener: Method): unknown {
      return LeaseHandle.#addListener(this[LEASED], 'once', event, listener)
    }

    prependListener(event: string, listener: Method): unknown {
      return LeaseHandle.#addListener(this[LEASED], 'prependListener', event, listener)
    }

    prependOnceListener(event: string, listener: Method): unknown {
      return LeaseHandle.#addListener(this[LEASED], 'prependOnceListener', event, listener)
    }

    removeListener(event: string, listener: Method): unknown {
      const self = this[LEASED]
      const client = self.#owner.client as EventEmitter
      const isOwn = LeaseHandle.#isLast(self) && self.#owner.lease.listenersOn(client).remove(event, listener)
      if (LeaseHandle.#isLast(self) && !isOwn) client.removeListener(event, listener)
      return self
    }

    removeAllListeners(...named: [event?: string]): unknown {
      const self = this[LEASED]
      const client = self.#owner.client as EventEmitter
      if (!LeaseHandle.#isLast(self)) return self
      client.removeAllListeners(...(named as [string]))
      self.#owner.lease.listenersOn(client).forget(named[0])
      return self
    }

    /** Calls a method of the physical client, unless the connection has been leased again since. */
    static #callIfLast(self: LeaseHandle, name: string, all: readonly unknown[]): unknown {
      const client = self.#owner.client as unknown as Record<string, Method>
      return LeaseHandle.#isLast(self) ? client[name]?.(...all) : undefined
    }

    emit(...all: unknown[]): unknown {
      return LeaseHandle.#callIfLast(this[LEASED], 'emit', all) ?? false
    }

    setMaxListeners(...all: unknown[]): unknown {
      LeaseHandle.#callIfLast(this[LEASED], 'setMaxListeners', all)
      return this[LEASED]
    }

    setTypeParser(...all: unknown[]): unknown {
      this[LEASED][STAY]()
      return LeaseHandle.#callIfLast(this[LEASED], 'setTypeParser', all)
    }

    ref(): void {
      LeaseHandle.#callIfLast(this[LEASED], 'ref', [])
    }

    unref(): void {
      LeaseHandle.#callIfLast(this[LEASED], 'unref', [])
    }

    get [PHYSICAL](): LeasedClient {
      return this[LEASED].#owner.client
    }

    [STAY](): void {
      const self = this[LEASED]
      if (LeaseHandle.#isHeld(self)) self.#owner.lease.stay()
    }

    [MOVE](owner: LeaseOwner, number: number): void {
      const self = this[LEASED]
      self.#owner = owner
      self.#number = number
      self.#methods = undefined
    }

    [INSPECT](_depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
      return inspect(this[PHYSICAL], options)
    }

    /** The client of a lease whose properties are read; undefined for a copy of one. */
    static of(receiver: unknown, key: PropertyKey): LeaseHandle | undefined {
      const self = key === LEASED ? undefined : (receiver as Partial<LeaseHandle>)[LEASED]
      return self && #owner in self ? self : undefined
    }

    /** Reads what this class doesn't have from the physical client. */
    static read(self: LeaseHandle, key: PropertyKey): unknown {
      const { client } = self.#owner
      // A program that knows the session may end it, as Kysely does when a signal is aborted.
      if (key === PID_PROPERTY) self[STAY]()
      if (notes.areUsed && LeaseHandle.#isHeld(self)) notes.dropIfDeleted(client, self, key)
      const value: unknown = Reflect.get(client, key)
      if (typeof value !== 'function' || key === 'constructor' || Object.hasOwn(client, key)) return value
      const method = self.#methods?.get(key) ?? LeaseHandle.#bound(self, client, key)
      self.#methods ??= new Map()
      self.#methods.set(key, method)
      return method
    }

    /** Writes to the physical client, where the next holder finds it. A method is replaced for this lease alone. */
    static write(self: LeaseHandle, key: PropertyKey, value: unknown): boolean {
      const { client } = self.#owner
      if (LeaseHandle.#isLast(self) && !isMethod(client, key)) {
        const isWritten = Reflect.set(client, key, value)
        if (isWritten && LeaseHandle.#isHeld(self)) notes.add(client, self, key)
        return isWritten
      }
      return Reflect.defineProperty(self, key, { value, writable: true, enumerable: true, configurable: true })
    }

    /** Calls with the physical client as `this`, which may have private fields. If that is returned, this client is. */
    static #bound(self: LeaseHandle, client: LeasedClient, key: PropertyKey): Method {
      return (...all) => {
        const result = Reflect.apply(Reflect.get(client, key) as unknown as Method, client, all)
        return result === client ? self : result
      }
    }

    // Static, as those below: private methods would add a field to each lease.

    /** Whether the connection has not been leased again since. */
    static #isLast(self: LeaseHandle): boolean {
      return self.#owner.lease.number === self.#number
    }

    static #isHeld(self: LeaseHandle): boolean {
      return self.#owner.lease.isHeld(self.#number)
    }

    /** In a function of its own: its closure costs nothing where no program looks for notes. */
    static #keepNotes(self: LeaseHandle): void {
      if (!LeaseHandle.#isHeld(self)) return
      const { client } = self.#owner
      notes.keep(client, self, (key) => isMethod(client, key))
    }

    static #addListener(self: LeaseHandle, how: Listening, event: string, listener: Method): unknown {
      const { client, lease } = self.#owner
      const emitter = client as EventEmitter
      if (typeof listener !== 'function') return emitter[how](event, listener) // Throws Node's own TypeError.
      if (LeaseHandle.#isLast(self)) lease.listenersOn(emitter).add(how, event, listener, self)
      return self
    }
  }

  const notes: ClientNotes = notesOn(common, (leased, key, value) =>
    LeaseHandle.write(leased as LeaseHandle, key, value),
  )
  const { on, removeListener } = Object.getOwnPropertyDescriptors(LeaseHandle.prototype)
  Object.defineProperties(LeaseHandle.prototype, {
    constructor: { value: common.constructor, writable: true, configurable: true },
    addListener: on,
    off: removeListener,
    // `await` reads it each time.
    // biome-ignore lint/suspicious/noThenProperty: so that it is found here, not to be called.
    then: { value: undefined, writable: true, configurable: true },
  })
  const behind = new Proxy(prototype, {
    get(target, key, receiver) {
      const self = LeaseHandle.of(receiver, key)
      return self ? LeaseHandle.read(self, key) : Reflect.get(target, key)
    },
    set(target, key, value, receiver) {
      const self = LeaseHandle.of(receiver, key)
      return self ? LeaseHandle.write(self, key, value) : Reflect.set(target, key, value, receiver)
    },
    has: (target, key) => key in target || notes.isDrivers(key),
  })
  Object.setPrototypeOf(LeaseHandle.prototype, behind)
  return LeaseHandle as unknown as LeaseHandleClass
}
