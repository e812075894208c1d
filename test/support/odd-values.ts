import { runInNewContext } from 'node:vm'

function refuse(): never {
  throw new TypeError('I will not say')
}

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

/** Refuses whatever it is asked. */
function stubborn(target: object): unknown {
  const traps = Object.getOwnPropertyNames(Reflect).map((trap) => [trap, refuse] as const)
  return new Proxy(target, Object.fromEntries(traps))
}

function withGetters(target: object): object {
  const names = ['message', 'code', 'name', 'stack', 'cause', 'severity', 'driverError', 'errors', 'syscall']
  return Object.defineProperties(target, Object.fromEntries(names.map((name) => [name, { get: refuse }])))
}

function ownCause(): Error {
  const error = new Error('its own cause')
  error.cause = error
  return error
}

function containingItself(): AggregateError {
  const error = new AggregateError([], '')
  error.errors.push(error, new AggregateError([error, error], ''))
  return error
}

/**
 * Values that are thrown, rejected with, or given as a reason, and are no proper Error. Each test gets a new one, so that a changed
 * value doesn't affect the next test.
 */
export const ODD_VALUES: readonly (readonly [name: string, make: () => unknown])[] = [
  ['undefined', () => undefined],
  ['null', () => null],
  ['false', () => false],
  ['an empty text', () => ''],
  ['a text', () => 'a text'],
  ['0', () => 0],
  ['a BigInt', () => 7n],
  ['a Symbol', () => Symbol('odd')],
  ['an object without a prototype', () => Object.create(null)],
  ['an object whose toString throws', () => ({ toString: refuse })],
  ['an object whose toString gives an object', () => ({ toString: () => ({}), valueOf: () => ({}) })],
  ['an object whose getters throw', () => withGetters({})],
  ['a revoked Proxy', () => revoked({})],
  ['a revoked Proxy of an Error', () => revoked(new Error('revoked'))],
  ['a revoked Proxy of a function', () => revoked(() => {})],
  ['a Proxy that refuses everything', () => stubborn({})],
  ['a Proxy of an Error that refuses everything', () => stubborn(new Error('stubborn'))],
  ['an Error whose getters throw', () => withGetters(new Error('shy'))],
  ['an Error whose message, code and name are Symbols', () => symbolic()],
  ['an Error without a prototype', () => Object.setPrototypeOf(new Error('orphaned'), null)],
  ['a frozen Error', () => Object.freeze(new Error('frozen'))],
  ['an Error that is its own cause', ownCause],
  ['an AggregateError that contains itself', containingItself],
  ['an AggregateError without a list', () => Object.assign(new AggregateError([], ''), { errors: 7 })],
  ['an Error of another realm', () => runInNewContext('new Error("from elsewhere")')],
]

function symbolic(): Error {
  const odd = Symbol('odd')
  return Object.assign(new Error('symbolic'), { message: odd, code: odd, name: odd })
}
