/**
 * Properties that programs add to clients. They belong to the physical client, where the next holder and the listeners of the
 * pool find them. The client of a lease shows each of them as a property of its own, so that `in`, `Object.keys` and `delete`
 * answer as with pg. What is deleted there is deleted on the physical client: by the release at the latest.
 *
 * An assignment reaches the physical client at once. But `Object.defineProperty` defines a property on the client of the lease
 * alone, and a trap for `in` doesn't see which client is asked (pg-promise counts its uses of a client by both). So after the
 * first such question, the properties that are there at a release are copied to the physical client, and shown by its next lease.
 */
export interface ClientNotes {
  /** Whether a program has added a property, or looked for one with `in`. */
  areUsed: boolean
  /** Whether each client of this class has this property. To be called for each `in`. */
  isDrivers(key: PropertyKey): boolean
  /** Shows the properties of the physical client on the client of a lease. */
  show(client: object, leased: object): void
  /** Shows a property that was just written to the physical client on the client of a lease, unless the driver has it. */
  add(client: object, leased: object, key: PropertyKey): void
  /** Deletes on the physical client what is missing on the client that holds it. */
  dropIfDeleted(client: object, leased: object, key: PropertyKey): void
  /** At the end of a lease: takes over to the physical client what its client has, and what was deleted there. */
  keep(client: object, leased: object, isExempt: (key: PropertyKey) => boolean): void
}

/** Writes a property of the client of a lease. */
export type WriteProperty = (leased: object, key: PropertyKey, value: unknown) => boolean

/** The notes on all clients of a class; `example` is a client without any. */
export function notesOn(example: object, write: WriteProperty): ClientNotes {
  const prototype: object = Object.getPrototypeOf(example)
  const common = new Set(Reflect.ownKeys(example))
  const noted = new WeakMap<object, Set<PropertyKey>>()
  let isAskedFor = false

  const notes: ClientNotes = {
    areUsed: false,
    isDrivers(key) {
      if (!common.has(key as string)) notes.areUsed = isAskedFor = true
      return common.has(key as string)
    },
    show(client, leased) {
      const keys = noted.get(client)
      if (!keys) return
      for (const key of keys)
        if (Object.hasOwn(client, key)) showOne(client, leased, key, write)
        else keys.delete(key)
    },
    add(client, leased, key) {
      if (common.has(key as string) || key in prototype) return
      notes.areUsed = true
      const keys = noted.get(client) ?? new Set()
      noted.set(client, keys.add(key))
      showOne(client, leased, key, write)
    },
    dropIfDeleted(client, leased, key) {
      const keys = noted.get(client)
      if (!keys?.has(key) || Object.hasOwn(leased, key)) return
      keys.delete(key)
      Reflect.deleteProperty(client, key)
    },
    keep(client, leased, isExempt) {
      const keys = noted.get(client)
      for (const key of keys ?? []) notes.dropIfDeleted(client, leased, key)
      for (const key of (isAskedFor ? Reflect.ownKeys(leased) : keys) ?? []) {
        const descriptor = Reflect.getOwnPropertyDescriptor(leased, key)
        if (descriptor && 'value' in descriptor && descriptor.value !== leased && !isExempt(key))
          Reflect.defineProperty(client, key, descriptor)
      }
      if (isAskedFor) noted.set(client, new Set(Reflect.ownKeys(client).filter((key) => !common.has(key))))
    },
  }
  return notes
}

function showOne(client: object, leased: object, key: PropertyKey, write: WriteProperty): void {
  Object.defineProperty(leased, key, {
    get: () => Reflect.get(client, key),
    set: (value) => void write(leased, key, value),
    enumerable: Object.prototype.propertyIsEnumerable.call(client, key),
    configurable: true,
  })
}

/** A replaced method may call the method of its own lease, so it must not be seen by the next lease. */
export function isMethod(client: object, key: PropertyKey): boolean {
  return key in Object.getPrototypeOf(client) && typeof Reflect.get(client, key) === 'function'
}
