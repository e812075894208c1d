import type { FaultProxy } from '../../support/index.ts'

/**
 * Lets something happen at the server while what it says about it is still on its way: the moment in which no listener
 * helps, because the connections look healthy. Returns what lets the news arrive.
 */
export async function unnoticed(proxy: FaultProxy, happen: () => Promise<unknown>): Promise<() => void> {
  const { links } = proxy
  for (const link of links) link.delay(Number.POSITIVE_INFINITY)
  await happen()
  return () => {
    for (const link of links) link.heal()
  }
}
