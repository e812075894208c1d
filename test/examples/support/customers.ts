import { randomUUID } from 'node:crypto'
import type { Answer, Asked, Service } from './service.ts'

/** An order, as the services show it. */
export interface Order {
  readonly id: number
  readonly cents: number
  readonly status: string
  readonly payments?: readonly { readonly cents: number }[]
}

/** Sends a request until it succeeds. */
export type Insist = (asked: Asked) => Promise<unknown>

/** What a customer does again and again. */
export type Purchase = (insist: Insist) => Promise<void>

/** How often a customer sends a request before giving up. */
const MOST_REQUESTS = 5

/**
 * The customers of a service. Each makes one purchase after the other. They do what the service asks of its clients:
 * after a 503 they send the same request with the same key. Any other error is a failure.
 */
export class Customers implements AsyncDisposable {
  /** The number of purchases so far. */
  served = 0
  /** The answers after which a customer repeated the request. */
  readonly repeated: Answer[] = []
  /** The errors after which customers stopped. */
  readonly failures: unknown[] = []
  readonly #running: Promise<void>[]
  #areLeaving = false

  constructor(service: Service, count: number, purchase: Purchase = orderAndPay) {
    const insistHere: Insist = (asked) => insist(service, asked, this.repeated)
    this.#running = Array.from({ length: count }, () => this.#buy(() => purchase(insistHere)))
  }

  /** Waits until each has finished its last purchase. */
  async leave(): Promise<void> {
    this.#areLeaving = true
    await Promise.all(this.#running)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave()
  }

  async #buy(purchase: () => Promise<void>): Promise<void> {
    try {
      while (!this.#areLeaving) {
        await purchase()
        this.served++
      }
    } catch (error) {
      this.failures.push(error)
    }
  }
}

/** Sends a request until it succeeds. Adds the answers after which it was repeated to `repeated`. */
export async function insist(service: Service, asked: Asked, repeated: Answer[] = []): Promise<Order> {
  for (let request = 1; ; request++) {
    const answer = await service.ask(asked)
    if (answer.status >= 200 && answer.status < 300) return answer.body as Order
    if (answer.status !== 503 || request === MOST_REQUESTS)
      throw new Error(`${asked.method} ${asked.path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    repeated.push(answer)
  }
}

/** Orders, pays, and checks the order. */
async function orderAndPay(insist: Insist): Promise<void> {
  const cents = 1 + Math.floor(Math.random() * 10_000)
  const { id } = (await insist({ method: 'POST', path: '/orders', key: randomUUID(), body: { cents } })) as Order
  await insist({ method: 'POST', path: `/orders/${id}/pay`, key: randomUUID() })
  const seen = (await insist({ method: 'GET', path: `/orders/${id}` })) as Order
  if (seen.status !== 'paid' || seen.payments?.length !== 1 || seen.payments[0]?.cents !== cents)
    throw new Error(`Not what was ordered and paid: ${JSON.stringify(seen)}`)
}
