import { AimedProxy, type Cluster, type ClusterConfig, FaultProxy, until } from '../../support/index.ts'
import { type Payer, reasonOfDoubt } from './payers.ts'
import { Random } from './random.ts'
import { strikeAtRandom } from './random-faults.ts'
import { type Books, prepare, readBooks, type Transfer, transfers } from './transfers.ts'

/** How many pay at a time. */
const PAYERS = 16

/** What a run is to be. */
export interface RunOptions {
  readonly seed: number
  readonly count: number
  readonly payer: (config: ClusterConfig) => Payer
}

/** What has come out of it. */
export interface Report {
  readonly seed: number
  readonly acknowledged: number
  /** Payments that were reported as failed, by their error. */
  readonly failed: ReadonlyMap<string, number>
  /** Payments that were reported as unknown, by the reason. */
  readonly unknown: ReadonlyMap<string, number>
  /** How many of those are written. */
  readonly unknownAndPresent: number
  readonly faults: ReadonlyMap<string, number>
  readonly millis: number
  readonly wrong: Wrong
}

/** All that must not be: the ids of transfers, the numbers of accounts. */
export interface Wrong {
  readonly acknowledgedAndMissing: readonly string[]
  readonly failedAndPresent: readonly string[]
  readonly doubled: readonly string[]
  readonly moneyMissing: number
  readonly unbalanced: readonly number[]
}

/** What a run without a wrong answer has. */
export const NOTHING_WRONG: Wrong = {
  acknowledgedAndMissing: [],
  failedAndPresent: [],
  doubled: [],
  moneyMissing: 0,
  unbalanced: [],
}

/** The answers that the payers got, by transfer. */
class Journal {
  readonly acknowledged = new Set<string>()
  readonly failed = new Map<string, string>()
  readonly unknown = new Map<string, string>()

  async note({ id }: Transfer, payment: Promise<void>): Promise<void> {
    try {
      await payment
      this.acknowledged.add(id)
    } catch (error) {
      const doubt = reasonOfDoubt(error)
      if (doubt === undefined) this.failed.set(id, String(error))
      else this.unknown.set(id, doubt)
    }
  }
}

/** Makes all payments while this seed's faults strike, and compares the answers with what was written. */
export async function run(cluster: Cluster, { seed, count, payer }: RunOptions): Promise<Report> {
  await prepare(cluster)
  const startedAt = performance.now()
  const random = new Random(seed)
  const journal = new Journal()
  const queue = transfers(count, random)
  const over = new AbortController()
  let faults: ReadonlyMap<string, number>
  {
    await using aimed = await AimedProxy.start(cluster)
    await using proxy = await FaultProxy.start(aimed)
    await using payers = payer(proxy.config(cluster.config()))
    const faultsStruck = strikeAtRandom({ cluster, proxy, aimed, random: new Random(seed + 1) }, over.signal)
    const payAll = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) await journal.note(next, payers.pay(next))
    }
    await Promise.race([Promise.all(Array.from({ length: PAYERS }, payAll)), faultsStruck])
    over.abort()
    faults = await faultsStruck
  }
  // Waits for the sessions to end by themselves: a COMMIT that is still under way must be counted.
  await until(async () => (await cluster.countSessions()) === 0, { what: 'all sessions to have ended' })
  const books = await readBooks(cluster)
  return {
    seed,
    acknowledged: journal.acknowledged.size,
    failed: counted(journal.failed.values()),
    unknown: counted(journal.unknown.values()),
    unknownAndPresent: [...journal.unknown.keys()].filter((id) => books.times.has(id)).length,
    faults,
    millis: performance.now() - startedAt,
    wrong: compare(journal, books),
  }
}

function compare({ acknowledged, failed }: Journal, { times, missing, unbalanced }: Books): Wrong {
  return {
    acknowledgedAndMissing: [...acknowledged].filter((id) => !times.has(id)),
    failedAndPresent: [...failed.keys()].filter((id) => times.has(id)),
    doubled: [...times].flatMap(([id, count]) => (count > 1 ? [id] : [])),
    moneyMissing: missing,
    unbalanced,
  }
}

function counted(names: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
