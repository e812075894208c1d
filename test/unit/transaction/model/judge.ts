import type { Network } from './network.ts'
import { CREDIBILITY, type Credibility } from './orm.ts'
import type { TransactionPlan } from './plans.ts'
import type { AttemptRecord, Step } from './steps.ts'

/** What the caller of a transaction was told. */
export type Told = { readonly resolved: true } | { readonly error: unknown }

/** Steps of which the text does not show the writes, or the id of their transaction. */
const UNTRACEABLE: readonly Step[] = [
  'write twice in one text',
  'write late',
  'write, not awaited',
  'write when it may be over',
]

/** Records what was done, and compares what the callers are told with what is true. */
export class Judge {
  readonly complaints: string[] = []
  readonly #network: Network
  readonly #inquiryMillis: number
  readonly #attempts = new Map<string, AttemptRecord[]>()

  constructor(network: Network, inquiryMillis: number) {
    this.#network = network
    this.#inquiryMillis = inquiryMillis
  }

  /** An attempt begins. No earlier one may have committed, or be able to. */
  begins(key: string, number: number, later: AttemptRecord['later']): AttemptRecord {
    const attempts = this.#attempts.get(key) ?? []
    for (const earlier of attempts) this.#isOver(key, earlier, number)
    const record = { number, labels: [], possible: [], later }
    this.#attempts.set(key, [...attempts, record])
    return record
  }

  /** Judges a transaction after everything has ended. */
  judge(key: string, { runBy, steps }: TransactionPlan, told: Told): void {
    const attempts = this.#attempts.get(key) ?? []
    const possible = attempts.flatMap((each) => each.possible)
    const there = this.#network.server.rows.filter(({ label }) => label.startsWith(`${key}.`))
    const written = there.map(({ label }) => label).filter((label) => !possible.includes(label))
    const complain = (what: string): void => {
      this.complaints.push(`${key} ${what}; there is ${there.map(({ label }) => label).join(', ') || 'nothing'}`)
    }
    if (new Set(written.map((label) => label.split('.')[1])).size > 1 || new Set(written).size < written.length)
      complain('is written more than once')
    const isWhole = written.toSorted().join() === (attempts.at(-1)?.labels ?? []).toSorted().join()
    const isSpread = runBy === 'spreads its work over two transactions'
    if (!isWhole && written.length > 0 && !isSpread) complain('is written in part, or is what was undone')
    // A statement that comes late may write by itself on a client, but not in the function of `pool.transaction`.
    const isOne = new Set(there.map(({ by }) => by)).size <= 1
    if (!isOne && runBy === 'pool.transaction') complain('is written by several transactions')
    if (there.some(({ by }) => by.labels.some((label) => !label.startsWith(`${key}.`))))
      complain("is written by another's transaction")
    const credibility = runBy === 'pool.transaction' ? CREDIBILITY.plainly : CREDIBILITY[runBy]
    const isWritten = written.length > 0 || (runBy === 'pool.transaction' && there.length > 0)
    if ('error' in told) this.#judgeError(told.error, credibility, steps, isWritten, complain)
    else if (credibility.ofSuccess && !isWhole) complain('is told to be written')
  }

  #judgeError(
    error: unknown,
    credibility: Credibility,
    steps: readonly Step[],
    isWritten: boolean,
    complain: (what: string) => void,
  ): void {
    const loss = lossIn(error)
    const what = `is told to have failed (${describe(error)})`
    if (loss?.commitOutcome === 'unknown') {
      const objection = this.#objectionTo(loss.reason, steps, credibility)
      if (objection) complain(`${what}, and its outcome is told to be unknown: ${objection}`)
    } else if (credibility.ofFailure && isWritten) complain(what)
  }

  /** Why the outcome of a single write in a transaction of its own should not be unknown. */
  objectionToUnknown(reason: unknown): string | undefined {
    return reason === undefined ? 'no reason is told' : this.#objectionTo(reason, [], CREDIBILITY.plainly)
  }

  /** Why the outcome should not be unknown, since the server could tell. */
  #objectionTo(why: unknown, steps: readonly Step[], { ofUnknown }: Credibility): string | undefined {
    const { outages } = this.#network.server
    const [, waited] = /^no answer within (\d+) ms/.exec(String(why)) ?? []
    if (waited !== undefined) return this.#objectionToWaiting(Number(waited), String(why))
    if (/has crashed since/.test(String(why)))
      return [...outages.keys()].some((how) => how !== 'fast restart') ? undefined : 'nothing has crashed'
    if (/has failed over/.test(String(why))) return outages.has('failover') ? undefined : 'nothing has failed over'
    const isTheirs = steps.some((step) => UNTRACEABLE.includes(step)) || (why === undefined && !ofUnknown)
    return isTheirs ? undefined : String(why)
  }

  #objectionToWaiting(waitedMillis: number, why: string): string | undefined {
    if (waitedMillis < this.#inquiryMillis) return `it was asked for ${waitedMillis} ms only`
    return this.#isHardToAsk() ? undefined : why
  }

  /** Whether a fault was in the way of inquiries, and not only chance. */
  #isHardToAsk(): boolean {
    const { hasRefused, links, server, wasDiskStalled, hasDelayedInquiry } = this.#network
    return (
      hasRefused ||
      wasDiskStalled ||
      hasDelayedInquiry ||
      server.outages.size > 0 ||
      links.some((link) => link.hasFailedInquiry)
    )
  }

  /** After the end of all clients no session may keep its locks. Behind a pooler that can't be prevented. */
  judgeLeftovers(plans: readonly TransactionPlan[]): void {
    const { links, isPooled } = this.#network
    if (isPooled || this.#isHardToAsk()) return
    // A lost text may contain a COMMIT, and a session that may be committing isn't terminated. Nor is one that is released
    // in its transaction.
    const isExcused = (label: string): boolean => {
      const plan = plans[Number(/^t(\d+)/.exec(label)?.[1])]
      return plan?.runBy === 'never rolls back' || plan?.steps.some((step) => UNTRACEABLE.includes(step)) === true
    }
    // A pid alone is no identity: only a session whose client knows it can be ended.
    for (const { number, session, isIdentified } of links)
      if (
        isIdentified &&
        session?.isAlive &&
        session.transaction?.id !== undefined &&
        !session.transaction.labels.some(isExcused)
      )
        this.complaints.push(`session ${number} keeps its locks`)
  }

  #isOver(key: string, earlier: AttemptRecord, number: number): void {
    const isOfIt = (label: string): boolean =>
      label.startsWith(`${key}.${earlier.number}.`) && !earlier.possible.includes(label)
    const complain = (what: string): void => {
      this.complaints.push(`${key}: attempt ${number} begins, and attempt ${earlier.number} ${what}`)
    }
    if (this.#network.server.rows.some(({ label }) => isOfIt(label))) complain('is committed')
    for (const link of this.#network.links) {
      const { session } = link
      if (!session?.transaction?.labels.some(isOfIt)) continue
      if (session.transaction.isCommitting) complain('is about to be')
      else if (link.carries((text) => /\bcommit\b/i.test(text))) complain('may be: its COMMIT is on its way')
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
