/** What a pool knows of the budget that it shares. */
export interface BudgetStatus {
  /** The options. */
  readonly name: string
  readonly total: number
  readonly reserve: number
  /** How many connections this pool has of it, that of the session in which it asks included. */
  readonly held: number
  /** How many all pools have together, as last seen. */
  readonly taken: number
  /** How many pools share it, as last seen. */
  readonly pools: number
}

/** A pool that shares a budget, as the others see it. */
export interface BudgetSharer {
  /** How many connections it has. */
  readonly connections: number
  /** Since when its callers have waited for one more, by the server's clock; undefined if none waits. */
  readonly hungrySince: number | undefined
}

/** What a pool knows of its budget at one moment. Durations in milliseconds. */
export interface BudgetFacts extends BudgetSharer {
  /** Slots that no pool has. */
  readonly free: number
  /** How many of them are left to pools that join. */
  readonly reserve: number
  /** How many connections of this pool, beyond `connections`, are being closed: their slots will be free. */
  readonly closing: number
  /** How many of its connections this pool can do without. */
  readonly unused: number
  /** How many connections more this pool wants. */
  readonly wanted: number
  readonly others: readonly BudgetSharer[]
  /** For how long this pool has had one connection more than others that wait. */
  readonly extraMillis: number
  /** For how long it has left a free slot to a pool that comes first. */
  readonly behindMillis: number
}

/** What follows for this pool. */
export interface BudgetShare {
  /** How many slots it may take now. */
  readonly take: number
  /** How many connections it may keep; Infinity if no other pool needs them. */
  readonly keep: number
  /** Whether it has one connection more than others that wait. */
  readonly hasExtra: boolean
  /** Whether its turn to have that is over. */
  readonly isTurnOver: boolean
  /** Whether it leaves a free slot to another pool. */
  readonly isBehind: boolean
}

// Dividing leaves a small error, which must not count as a connection.
const ROUNDING = 1e-9
/** How long a pool may have the one connection more that is left over where a budget can't be divided. */
const TURN_MILLIS = 1000
/** Then it doesn't wait for others, whose turn began earlier, to give theirs: they may be unable to. */
const LONGEST_TURN_MILLIS = 2 * TURN_MILLIS
/** How long a free slot is left to the pool that comes first: that one may stand still. */
const COURTESY_MILLIS = 1000

/**
 * How a pool shares a budget with others: who needs less than an equal share leaves the rest, and those who want more get the same
 * number. What can't be divided goes round. Slots that are free belong to the poorest first, then to the one that has waited longest.
 */
export function shareOf(facts: BudgetFacts): BudgetShare {
  const { free, reserve, connections, unused, wanted, others } = facts
  const hungry = others.filter(isHungry)
  const demand = wanted > 0 ? connections + wanted : connections - unused
  const fair = Math.min(demand, levelOf(facts, demand))
  const least = Math.floor(fair + ROUNDING)
  const most = Math.ceil(fair - ROUNDING)
  // The reserve is in use: it is to be there for the next pool that comes.
  const isShort = free < reserve
  const isContended = isShort || (hungry.length > 0 && free === reserve)
  const arePoorer = hungry.some((other) => other.connections < connections)
  const hasExtra = connections > least && (isShort || arePoorer)
  const isTurnOver = isContended && hasExtra && isTurnOverFor(facts, hungry)
  const kept = isTurnOver || givesFirst(facts, hungry, least) ? least : most
  const open = Math.min(wanted, free - reserve, most - connections)
  const taken = isBehindOthers(facts, hungry) ? Math.min(open, least - connections) : open
  return {
    take: Math.max(0, taken),
    keep: isContended ? kept : Number.POSITIVE_INFINITY,
    hasExtra,
    isTurnOver,
    isBehind: taken < open && open > 0,
  }
}

function isHungry({ hungrySince }: BudgetSharer): boolean {
  return hungrySince !== undefined
}

/** Whether another pool comes first: it has less, or as much and has waited longer. */
function isBehindOthers(facts: BudgetFacts, hungry: readonly BudgetSharer[]): boolean {
  const { connections, hungrySince = Number.POSITIVE_INFINITY, behindMillis } = facts
  const comesFirst = (other: BudgetSharer): boolean =>
    other.connections < connections ||
    (other.connections === connections && (other.hungrySince ?? hungrySince) < hungrySince)
  return behindMillis < COURTESY_MILLIS && hungry.some(comesFirst)
}

/** One after the other: of those that have as much, the one whose callers have waited longest gives first. */
function isTurnOverFor(facts: BudgetFacts, hungry: readonly BudgetSharer[]): boolean {
  const { connections, hungrySince = Number.NEGATIVE_INFINITY, extraMillis } = facts
  const isEarlier = (other: BudgetSharer): boolean =>
    other.connections >= connections && (other.hungrySince ?? hungrySince) < hungrySince
  return extraMillis >= (hungry.some(isEarlier) ? LONGEST_TURN_MILLIS : TURN_MILLIS)
}

/** Whether this pool has most, and another one less than is its part. */
function givesFirst({ connections, others }: BudgetFacts, hungry: readonly BudgetSharer[], least: number): boolean {
  const isRichest = others.every((other) => other.connections <= connections)
  return isRichest && hungry.some((other) => other.connections < least)
}

/** The number of connections that no pool exceeds when those who want less have got what they want. */
function levelOf({ free, reserve, connections, closing, others }: BudgetFacts, demand: number): number {
  const demands = others.map((other) => (isHungry(other) ? Number.POSITIVE_INFINITY : other.connections))
  let left = free - reserve + closing + connections
  for (const other of others) left += other.connections
  const sorted = [...demands, demand].sort((one, other) => one - other)
  let sharers = sorted.length
  for (const each of sorted) {
    const level = left / sharers
    if (each > level) return Math.max(0, level)
    left -= each
    sharers--
  }
  return Number.POSITIVE_INFINITY
}
