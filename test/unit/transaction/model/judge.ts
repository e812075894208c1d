import type { Network } from './network.ts'
import { CANDOUR, type Candour } from './orm.ts'
import type { TransactionPlan } from './plans.ts'
import type { Attempted, Step } from './work.ts'

/** What became of a transaction, by the word of whoever ran it. */
export type Told = { readonly resolved: true } | { readonly error: unknown }

/** What leaves the id of its transaction, or its writes, unknown to whoever reads texts alone. */
const UNTELLABLE: readonly Step[] = [
  'write twice in one text',
  'write late',
  'write, not awaited',
  'write when it may be over',
]

/** Knows what was done, and holds what is told against what is true. */
export class Judge {
  readonly complaints: string[] = []
  readonly #network: Network
  readonly #patienceMillis: number
  readonly #attempts = new Map<string, Attempted[]>()

  constructor(network: Network, patienceMillis: number) {
    this.#network = network
    this.#patienceMillis = patienceMillis
  }

  /** An attempt begins: none before it may be committed, nor become so. */
  begins(key: string, number: number, later: Attempted['later']): Attempted {
    const attempts = this.#attempts.get(key) ?? []
    for (const earlier of attempts) this.#isOver(key, earlier, number)
    const attempted = { number, labels: [], perhaps: [], later }
    this.#attempts.set(key, [...attempts, attempted])
    return attempted
  }

  /** All is said and done. */
  judge(key: string, { runBy, steps }: TransactionPlan, told: Told): void {
    const attempts = this.#attempts.get(key) ?? []
    const perhaps = attempts.flatMap((each) => each.perhaps)
    const there = this.#network.server.ledger.filter(({ label }) => label.startsWith(`${key}.`))
    const written = there.map(({ label }) => label).filter((label) => !perhaps.includes(label))
    const complain = (what: string): void => {
      this.complaints.push(`${key} ${what}; there is ${there.map(({ label }) => label).join(', ') || 'nothing'}`)
    }
    if (new Set(written.map((label) => label.split('.')[1])).size > 1 || new Set(written).size < written.length)
      complain('is written more than once')
    const isWhole = written.toSorted().join() === (attempts.at(-1)?.labels ?? []).toSorted().join()
    const isSpread = runBy === 'spreads its work over two transactions'
    if (!isWhole && written.length > 0 && !isSpread) complain('is written in part, or is what was undone')
    // What runs on by hand may write by itself; what `pool.transaction` has given to its function is of no more use.
    const isOne = new Set(there.map(({ by }) => by)).size <= 1
    if (!isOne && runBy === 'pool.transaction') complain('is written by several transactions')
    if (there.some(({ by }) => by.labels.some((label) => !label.startsWith(`${key}.`))))
      complain("is written by another's transaction")
    const candour = runBy === 'pool.transaction' ? CANDOUR.plainly : CANDOUR[runBy]
    const isWritten = written.length > 0 || (runBy === 'pool.transaction' && there.length > 0)
    if ('error' in told) this.#judgeError(told.error, candour, steps, isWritten, complain)
    else if (candour.ofSuccess && !isWhole) complain('is told to be written')
  }

  #judgeError(
    error: unknown,
    candour: Candour,
    steps: readonly Step[],
    isWritten: boolean,
    complain: (what: string) => void,
  ): void {
    const loss = lossIn(error)
    const what = `is told to have failed (${describe(error)})`
    if (loss?.commitOutcome === 'unknown') {
      const objection = this.#objectionTo(loss.reason, steps, candour)
      if (objection) complain(`${what}, and nobody is said to know: ${objection}`)
    } else if (candour.ofFailure && isWritten) complain(what)
  }

  /** Why that should not be unknown: the server could tell. */
  #objectionTo(why: unknown, steps: readonly Step[], { ofDoubt }: Candour): string | undefined {
    const { downfalls } = this.#network.server
    const [, waited] = /^no answer within (\d+) ms/.exec(String(why)) ?? []
    if (waited !== undefined) return this.#objectionToWaiting(Number(waited), String(why))
    if (/has crashed since/.test(String(why)))
      return [...downfalls.keys()].some((how) => how !== 'fast restart') ? undefined : 'nothing has crashed'
    if (/has failed over/.test(String(why))) return downfalls.has('failover') ? undefined : 'nothing has failed over'
    const isTheirs = steps.some((step) => UNTELLABLE.includes(step)) || (why === undefined && !ofDoubt)
    return isTheirs ? undefined : String(why)
  }

  #objectionToWaiting(waitedMillis: number, why: string): string | undefined {
    if (waitedMillis < this.#patienceMillis) return `it was asked for ${waitedMillis} ms only`
    return this.#isHardToAsk() ? undefined : why
  }

  /** Whether anything but chance was in the way of those who ask. */
  #isHardToAsk(): boolean {
    const { hasRefused, links, server, wasDiskStalled, wasHurried } = this.#network
    return (
      hasRefused ||
      wasDiskStalled ||
      wasHurried ||
      server.downfalls.size > 0 ||
      links.some((link) => link.hasFailedInquiry)
    )
  }

  /** Nobody is there any more: who has lost his client must not keep his locks. Behind a pooler that can't be helped. */
  judgeLeftovers(plans: readonly TransactionPlan[]): void {
    const { links, isPooled } = this.#network
    if (isPooled || this.#isHardToAsk()) return
    // A text that was lost may have had a COMMIT in it: who is at that isn't ended. Nor is who is given back like that.
    const isExcused = (label: string): boolean => {
      const plan = plans[Number(/^t(\d+)/.exec(label)?.[1])]
      return plan?.runBy === 'never rolls back' || plan?.steps.some((step) => UNTELLABLE.includes(step)) === true
    }
    for (const { number, session } of links)
      if (session?.isAlive && session.transaction?.id !== undefined && !session.transaction.labels.some(isExcused))
        this.complaints.push(`session ${number} keeps its locks`)
  }

  #isOver(key: string, earlier: Attempted, number: number): void {
    const isOfIt = (label: string): boolean =>
      label.startsWith(`${key}.${earlier.number}.`) && !earlier.perhaps.includes(label)
    const complain = (what: string): void => {
      this.complaints.push(`${key}: attempt ${number} begins, and attempt ${earlier.number} ${what}`)
    }
    if (this.#network.server.ledger.some(({ label }) => isOfIt(label))) complain('is committed')
    for (const link of this.#network.links) {
      const { session } = link
      if (!session?.transaction?.labels.some(isOfIt)) continue
      if (session.transaction.isCommitting) complain('is about to be')
      else if (link.brings((text) => /\bcommit\b/i.test(text))) complain('may be: its COMMIT is on its way')
    }
  }
}

interface LossFacts {
  readonly commitOutcome: 'aborted' | 'unknown'
  readonly reason?: unknown
}

function lossIn(error: unknown): LossFacts | undefined {
  for (let each = error; typeof each === 'object' && each !== null; each = (each as Error).cause)
    if ('commitOutcome' in each) return each as LossFacts
  return undefined
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : ` because of ${describe(error.cause)}`
  return `${error.name} ${(error as { code?: string }).code ?? ''}: ${error.message}${cause}`
}
