/**
 * What programs note on clients, and look for with `in`: pg-promise counts so how often it has had one. An assignment is
 * written to the client at once, but what is defined (`Object.defineProperty`) is on the client of the lease, and the
 * operator `in` doesn't say which one is asked. So from the first such question on, what is there at the release is put on
 * the client itself, and shown on the client of its next lease.
 */
export interface ClientNotes {
  /** Whether any program looks for notes in this way. */
  areSought: boolean
  /** Whether this property is one that every client of this class has. To be told of each question. */
  isDrivers(key: PropertyKey): boolean
  /** Shows them on the client of a lease. */
  mirror(client: object, leased: object): void
  /** Puts on the client what was defined on the client of a lease. */
  keep(client: object, leased: object, isExempt: (key: PropertyKey) => boolean): void
}

/** For all clients that begin with the properties of this one. */
export function notesOn(example: object): ClientNotes {
  const common = new Set(Reflect.ownKeys(example))
  const noted = new WeakMap<object, PropertyKey[]>()
  const notes: ClientNotes = {
    areSought: false,
    isDrivers(key) {
      if (!common.has(key as string)) notes.areSought = true
      return common.has(key as string)
    },
    mirror(client, leased) {
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
