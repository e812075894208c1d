import { randomUUID } from 'node:crypto'
import type { Answer, Asked, Service } from './service.ts'

/** An order, as the services show it. */
export interface Order {
  readonly id: number
  readonly cents: number
  readonly status: string
  readonly payments?: readonly { readonly cents: number }[]
}

/** Sends a request until it is carried out. */
export type Insist = (asked: Asked) => Promise<unknown>

/** What a customer does, over and over. */
export type Visit = (insist: Insist) => Promise<void>

/** How often a customer repeats a request before he gives up. */
const PATIENCE = 5

/**
 * The customers of a service, each of whom makes one visit after the other. They do what such a service asks of its
 * clients: a 503 is answered by the same request with the same key. Anything else is a failure.
 */
export class Customers implements AsyncDisposable {
  /** How many visits were made. */
  served = 0
  /** The answers that had a customer repeat his request. */
  readonly repeated: Answer[] = []
  /** Why customers left for good: all is well as long as there is nothing here. */
  readonly failures: unknown[] = []
  readonly #working: Promise<void>[]
  #areLeaving = false

  constructor(service: Service, count: number, visit: Visit = orderAndPay) {
    const insistHere: Insist = (asked) => insist(service, asked, this.repeated)
    this.#working = Array.from({ length: count }, () => this.#visit(() => visit(insistHere)))
  }

  /** Has each finish what it is at. */
  async leave(): Promise<void> {
    this.#areLeaving = true
    await Promise.all(this.#working)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave()
  }

  async #visit(visit: () => Promise<void>): Promise<void> {
    try {
      while (!this.#areLeaving) {
        await visit()
        this.served++
      }
    } catch (error) {
      this.failures.push(error)
    }
  }
}

/** Sends a request until it is carried out; what didn't succeed, but may be repeated, is noted down. */
export async function insist(service: Service, asked: Asked, repeated: Answer[] = []): Promise<Order> {
  for (let attempt = 1; ; attempt++) {
    const answer = await service.ask(asked)
    if (answer.status >= 200 && answer.status < 300) return answer.body as Order
    if (answer.status !== 503 || attempt === PATIENCE)
      throw new Error(`${asked.method} ${asked.path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    repeated.push(answer)
  }
}

/** Orders, pays, and looks at what has become of it. */
async function orderAndPay(insist: Insist): Promise<void> {
  const cents = 1 + Math.floor(Math.random() * 10_000)
  const { id } = (await insist({ method: 'POST', path: '/orders', key: randomUUID(), body: { cents } })) as Order
  await insist({ method: 'POST', path: `/orders/${id}/pay`, key: randomUUID() })
  const seen = (await insist({ method: 'GET', path: `/orders/${id}` })) as Order
  if (seen.status !== 'paid' || seen.payments?.length !== 1 || seen.payments[0]?.cents !== cents)
    throw new Error(`Not what was ordered and paid: ${JSON.stringify(seen)}`)
}
