import type { Stack } from '../stacks/stack.ts'

/**
 * Divides the stacks into waves of at most `size`, which run one after the other. A family stays together, so that the stacks
 * that are compared meet the same faults at the same moments, under the same load.
 */
export function wavesOf(stacks: readonly Stack[], size: number): readonly (readonly Stack[])[] {
  const waves: Stack[][] = []
  for (const family of new Set(stacks.map((stack) => stack.family))) {
    const members = stacks.filter((stack) => stack.family === family)
    const last = waves.at(-1)
    if (last && last.length + members.length <= size) last.push(...members)
    else waves.push(members)
  }
  return waves
}
