import type { Stack } from '../stacks/stack.ts'

/**
 * The stacks that go through the storm side by side: as many as there are lanes, one wave after the other. A family stays
 * together, so that whoever is compared has met the same faults at the same moments, with the same neighbours.
 */
export function wavesOf(stacks: readonly Stack[], lanes: number): readonly (readonly Stack[])[] {
  const waves: Stack[][] = []
  for (const family of new Set(stacks.map((stack) => stack.family))) {
    const members = stacks.filter((stack) => stack.family === family)
    const last = waves.at(-1)
    if (last && last.length + members.length <= lanes) last.push(...members)
    else waves.push(members)
  }
  return waves
}
