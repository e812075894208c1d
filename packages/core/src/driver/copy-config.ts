/** A copy of the same class, with all own properties, also those that can't be enumerated. Each of them can be written. */
export function copyProperties<Config extends object>(
  config: Config,
): { -readonly [Key in keyof Config]: Config[Key] } {
  const prototype = Object.getPrototypeOf(config)
  // The descriptors take ten times as long. Few configs need them.
  if (mayAssign(config, prototype)) return Object.assign(Object.create(prototype), config)
  const copy = Object.create(prototype)
  for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(config)))
    Object.defineProperty(copy, key, {
      ...descriptor,
      configurable: true,
      ...('value' in descriptor && { writable: true }),
    })
  return copy
}

/** A copy that has these properties, also where its class has a getter for one. */
export function copyWith<Config extends object>(config: Config, properties: object): Config {
  const isPlain = Object.getPrototypeOf(config) === Object.prototype
  if (isPlain && mayAssign(config, Object.prototype)) return Object.assign({}, config, properties)
  const copy = copyProperties(config)
  for (const [key, value] of Object.entries(properties))
    Object.defineProperty(copy, key, { value, writable: true, enumerable: true, configurable: true })
  return copy
}

/** Whether assigning finds every property, and calls no setter of the class. */
function mayAssign(config: object, prototype: object | null): boolean {
  const keys = Object.keys(config)
  if (keys.length !== Object.getOwnPropertyNames(config).length) return false
  return prototype === Object.prototype || prototype === null || !keys.some((key) => key in prototype)
}
