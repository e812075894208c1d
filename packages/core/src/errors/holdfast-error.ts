/**
 * The base of every error that Holdfast creates. Branch on `code`: it is stable, and works when two copies of the package are
 * loaded.
 */
export class HoldfastError extends Error {
  /** A SQLSTATE where PostgreSQL has one, else a name starting with `HOLDFAST_`. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  static {
    pinName(HoldfastError, 'HoldfastError')
  }
}

/** Sets the name of an error class: on the prototype, so that it is not enumerable, and as a text that no minifier changes. */
export function pinName(errorClass: { prototype: Error; name: string }, name: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true })
  Object.defineProperty(errorClass, 'name', { value: name })
}
