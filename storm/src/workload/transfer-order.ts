/** Money to move from one account to another. */
export interface TransferOrder {
  readonly key: string
  readonly phase: number
  readonly from: number
  readonly to: number
  readonly amount: number
}

/** The application's own refusal of a transfer, thrown in the middle of its transaction. */
export class Declined extends Error {
  constructor({ key, from, amount }: TransferOrder) {
    super(`Transfer ${key} declined: account ${from} does not hold ${amount}.`)
  }
}
