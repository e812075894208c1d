/**
 * Properties that programs add to clients and look for with `in`: pg-promise counts its uses of a client this way. An
 * assignment is written to the physical client at once. But `Object.defineProperty` defines a property on the client of the
 * lease, and a trap for `in` doesn't see which client is asked. So after the first such question, the properties that are
 * there at a release are copied to the physical client, and shown on the client of its next lease.
 */
export interface ClientNotes {
  /** Whether a program has looked for a property with `in`. */
  areUsed: boolean
  /** Whether each client of this class has this property. To be called for each `in`. */
  isDrivers(key: PropertyKey): boolean
  /** Shows the properties of the physical client on the client of a lease. */
  show(client: object, leased: object): void
  /** Copies what was defined on the client of a lease to the physical client. */
  keep(client: object, leased: object, isExempt: (key: PropertyKey) => boolean): void
}

/** The notes on all clients of a class; `example` is a client without any. */
export function notesOn(example: object): ClientNotes {
  const common = new Set(Reflect.ownKeys(example))
  const noted = new WeakMap<object, PropertyKey[]>()
  const notes: ClientNotes = {
    areUsed: false,
    isDrivers(key) {
      if (!common.has(key as string)) notes.areUsed = true
      return common.has(key as string)
    },
    show(client, leased) {
      for (const key of noted.get(client) ?? [])
        Object.defineProperty(leased, key, {
          get: () => Reflect.get(client, key),
          set: (value) => Reflect.set(client, key, value),
          enumerable: Object.prototype.propertyIsEnumerable.call(client, key),
          configurable: true,
        })
    },
    keep(client, leased, isExempt) {
      for (const key of Reflect.ownKeys(leased)) {
        const descriptor = Reflect.getOwnPropertyDescriptor(leased, key)
        if (descriptor && 'value' in descriptor && descriptor.value !== leased && !isExempt(key))
          Reflect.defineProperty(client, key, descriptor)
      }
      noted.set(
        client,
        Reflect.ownKeys(client).filter((key) => !common.has(key)),
      )
    },
  }
  return notes
}
