import type { Fault } from '../../faults/fault.ts'

/** One fault after the other without end: all of them in a random order, and then all of them in another. */
export function* weather(faults: readonly Fault[], random: () => number): Generator<Fault, never> {
  for (;;) yield* shuffled(faults, random)
}

function shuffled<Value>(values: readonly Value[], random: () => number): Value[] {
  const left = [...values]
  return values.flatMap(() => left.splice(Math.floor(random() * left.length), 1))
}
