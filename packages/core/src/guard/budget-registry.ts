import { numberIn, type Row, truthIn } from '../commit/server-report.ts'
import type { BudgetValues } from '../options/read-values.ts'
import type { BudgetSharer } from '../policy/budget-share.ts'
import type { Ask } from './capacity.ts'

/** The key of all pools that share the budget. Those of the slots count from 1. */
const MEMBER = 2_147_483_646
/** The keys from here on to `MEMBER` tell since when the callers of a pool have waited. */
const FIRST_TICK = 1_500_000_000
const TICKS = 536_870_912
const TICKS_PER_SECOND = 10

/** A slot, and the session that has it; 0 if there is none. */
export interface HeldSlot {
  readonly slot: number
  readonly pid: number
}

/** What is registered at the server. */
export interface BudgetView {
  /** How many slots are taken. */
  readonly taken: number
  /** The other pools that share the budget. */
  readonly others: readonly BudgetSharer[]
  /** Since when the callers of this pool have waited; undefined if none waits. */
  readonly hungrySince: number | undefined
  /** Whether the session that asks is registered itself. */
  readonly isMember: boolean
}

/**
 * The registry of a budget is the server itself: a slot is an advisory lock, which the server frees when its session ends. The pool
 * takes it in a session of its own before it logs in another one, and both hold it: so it stays taken when either is lost. It is
 * taken exclusively at first, which only one can, and held as a shared lock from then on.
 *
 * @see https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
 */
export class BudgetRegistry {
  readonly #ask: Ask
  readonly #key: number
  readonly #total: number
  /** The slots after these are the reserve. */
  readonly #common: number
  /** The slot of the session that asks. */
  #own = 0
  /** The server's clock when it was last asked. */
  #tick = 0
  /** Since when the callers of this pool have waited. */
  #hungrySince: number | undefined

  constructor(ask: Ask, { name, total, reserve }: BudgetValues) {
    this.#ask = ask
    this.#key = keyOf(name)
    this.#total = total
    this.#common = total - reserve
  }

  /** Registers the session as that of a pool, if it leads straight to its server process. Returns whether it does. */
  async register(backendPid: number): Promise<boolean> {
    const [row] = await this.#ask(`select case when pg_catalog.pg_backend_pid() = ${backendPid}
      then pg_catalog.pg_try_advisory_lock_shared(${this.#key}, ${MEMBER}) end as member`)
    return truthIn(row?.member) === true
  }

  /** Looks at who has what, and tells the others whether this pool wants more. With `again` its callers count as having just come. */
  async look(isHungry: boolean, again = false): Promise<BudgetView> {
    const rows = await this.#ask(`with l as (${this.#locks()})
      select l.pid, (l.pid = pg_catalog.pg_backend_pid()) as me,
        pg_catalog.count(*) filter (where l.slot < ${FIRST_TICK})::int as slots,
        pg_catalog.min(l.slot) filter (where l.slot >= ${FIRST_TICK} and l.slot < ${MEMBER})::int as hungry,
        pg_catalog.bool_or(l.slot = ${MEMBER}) as member,
        (select pg_catalog.count(distinct o.slot)::int from l o where o.slot <= ${this.#total}) as taken,
        (extract(epoch from pg_catalog.clock_timestamp()) * ${TICKS_PER_SECOND})::bigint % ${TICKS} as tick
        ${this.#mark(isHungry, again)}
      from l group by l.pid`)
    this.#tick = numberIn(rows[0]?.tick) ?? 0
    const members = rows.filter(({ member }) => truthIn(member))
    return {
      taken: numberIn(rows[0]?.taken) ?? 0,
      hungrySince: this.#hungrySince,
      isMember: members.some(isOwn),
      others: members.filter((row) => !isOwn(row)).map(sharerIn),
    }
  }

  /** Takes a slot for the session that asks, from the reserve if no other is free. Returns whether there is one. */
  async takeOwn(): Promise<boolean> {
    const [common] = await this.take(1)
    const [slot] = common === undefined && this.#common < this.#total ? await this.#take(1, this.#total) : [common]
    return slot !== undefined && this.useAsOwn(slot)
  }

  /** Uses a slot that the pool has for the session that asks. */
  useAsOwn(slot: number): true {
    this.#own = slot
    return true
  }

  /** Takes another slot for the session that asks, if it has one of the reserve, which is for those that come next. */
  async leaveReserve(): Promise<void> {
    if (this.#own <= this.#common) return
    const [slot] = await this.take(1)
    if (slot === undefined) return
    await this.free([{ slot: this.#own, pid: 0 }])
    this.#own = slot
  }

  /** Takes so many free slots, or as many as there are. */
  take(count: number): Promise<number[]> {
    return this.#take(count, this.#common)
  }

  async #take(count: number, most: number): Promise<number[]> {
    const key = this.#key
    const rows = await this.#ask(`with l as (${this.#locks()}),
      f as (select s from pg_catalog.generate_series(1, ${most}) s where s not in (select l.slot from l)
        order by (s + pg_catalog.pg_backend_pid()) % ${most} limit ${count})
      select f.s as slot from f where case when pg_catalog.pg_try_advisory_lock(${key}, f.s)
        then case when pg_catalog.pg_advisory_lock_shared(${key}, f.s)::text is not null
          then pg_catalog.pg_advisory_unlock(${key}, f.s) end else false end`)
    return slotsIn(rows)
  }

  /** Frees the slots whose sessions have ended at the server. Returns them. */
  async free(slots: readonly HeldSlot[]): Promise<number[]> {
    const rows = await this.#ask(`select v.slot, case
        when exists (select from pg_catalog.pg_stat_get_activity(v.pid)) then null
        else pg_catalog.pg_advisory_unlock_shared(${this.#key}, v.slot)::text end as freed
      from (values ${valuesOf(slots)}) v(slot, pid)`)
    return slotsIn(rows.filter(({ freed }) => freed !== null))
  }

  /**
   * Takes over the slots that the sessions of this pool's connections still hold, and no other pool, after the session that asks
   * was lost. The lost one (`formerPid`) is ended, if the server still has it. Returns the slots.
   */
  async adopt(slots: readonly HeldSlot[], formerPid: number): Promise<number[]> {
    if (formerPid > 0)
      await this.#ask(`select pg_catalog.pg_terminate_backend(l.pid) from (${this.#locks()}) l
        where l.slot = ${MEMBER} and l.pid = ${formerPid} and l.pid <> pg_catalog.pg_backend_pid()`)
    if (slots.length === 0) return []
    const rows = await this.#ask(`with l as (${this.#locks()})
      select v.slot, pg_catalog.pg_try_advisory_lock_shared(${this.#key}, v.slot) as held
      from (values ${valuesOf(slots)}) v(slot, pid)
      where exists (select from l where l.slot = v.slot and l.pid = v.pid)
        and not exists (select from l where l.slot = v.slot and l.pid not in (v.pid, ${formerPid}))`)
    return slotsIn(rows.filter(({ held }) => truthIn(held)))
  }

  /** The statement by which the session of a connection holds its slot as well. */
  holdStatement(slot: number): string {
    return `select pg_catalog.pg_try_advisory_lock_shared(${this.#key}, ${slot}) as held`
  }

  #mark(isHungry: boolean, again: boolean): string {
    const former = this.#hungrySince
    const since = isHungry ? FIRST_TICK + this.#tick : undefined
    if (isHungry === (former !== undefined) && !(isHungry && again)) return ''
    this.#hungrySince = since
    const unlocked =
      former === undefined ? '' : `, (select pg_catalog.pg_advisory_unlock_shared(${this.#key}, ${former})) as unmarked`
    return since === undefined
      ? unlocked
      : `${unlocked}, (select pg_catalog.pg_try_advisory_lock_shared(${this.#key}, ${since})) as marked`
  }

  /** Advisory locks belong to a database. */
  #locks(): string {
    return `select a.pid, a.objid::bigint as slot from pg_catalog.pg_locks a
      where a.locktype = 'advisory' and a.classid = ${this.#key} and a.objsubid = 2 and a.granted
        and a.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())`
  }
}

function isOwn({ me }: Row): boolean {
  return truthIn(me) === true
}

/** One of its slots is that of the session in which it asks. */
function sharerIn({ slots, hungry }: Row): BudgetSharer {
  return { connections: Math.max(0, (numberIn(slots) ?? 1) - 1), hungrySince: numberIn(hungry) }
}

function slotsIn(rows: readonly Row[]): number[] {
  return rows.map(({ slot }) => numberIn(slot)).filter((slot) => slot !== undefined)
}

function valuesOf(slots: readonly HeldSlot[]): string {
  return slots.map(({ slot, pid }) => `(${slot}, ${pid})`).join(', ')
}

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193
const LARGEST_KEY = 0x7fffffff

/** The first key of all locks of a budget: a hash of its name (FNV-1a). */
function keyOf(name: string): number {
  let hash = FNV_OFFSET
  for (const byte of new TextEncoder().encode(`holdfast budget ${name}`)) hash = Math.imul(hash ^ byte, FNV_PRIME)
  return hash & LARGEST_KEY
}
