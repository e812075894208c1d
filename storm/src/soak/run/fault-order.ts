import type { Fault } from '../../faults/fault.ts'

/** An endless sequence of faults: all of them in a random order, then all of them in another one. */
export function* faultOrder(faults: readonly Fault[], random: () => number): Generator<Fault, never> {
  for (;;) yield* shuffled(faults, random)
}

function shuffled<Value>(values: readonly Value[], random: () => number): Value[] {
  const left = [...values]
  return values.flatMap(() => left.splice(Math.floor(random() * left.length), 1))
}
