import { describe, expect, test } from 'vitest'
import { EngineFixture } from './engine-fixture.ts'

function reasonsIn({ events }: EngineFixture): string[] {
  return events.flatMap((event) => (event.type === 'connection-retired' ? [event.reason] : []))
}

describe('a pool that may keep fewer connections, since another pool of its budget needs them', () => {
  test('closes idle ones at once, and those in use as they are released', async () => {
    using fixture = new EngineFixture({ max: 4, prePing: false })
    await fixture.fill(4)
    const holders = fixture.acquireMany(3)
    fixture.engine.usability.limitTo(2)
    expect(reasonsIn(fixture)).toEqual(['budget'])
    for (const holder of holders) holder.release()
    expect(reasonsIn(fixture)).toEqual(['budget', 'budget'])
    expect(fixture.counts.idle).toBe(2)
  })

  test('keeps all when the others need them no more', async () => {
    using fixture = new EngineFixture({ max: 4, prePing: false, maxUses: 2 })
    await fixture.fill(2)
    const holders = fixture.acquireMany(2)
    fixture.engine.usability.limitTo(1)
    fixture.engine.usability.limitTo(Number.POSITIVE_INFINITY)
    for (const holder of holders) holder.release()
    expect(reasonsIn(fixture)).toEqual(['max-uses', 'max-uses'])
  })
})
