/** @throws {TypeError} that names the call, when `fn` can't be called. */
export function requireFunction(fn: unknown, call: string): void {
  if (typeof fn !== 'function') throw new TypeError(`${call}: \`fn\` must be a function, got ${typeof fn}`)
}
