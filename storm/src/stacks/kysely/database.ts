/** The types of the service's tables for Kysely. */
export interface Database {
  readonly account: { readonly id: number; readonly balance: number }
  readonly ledger: {
    readonly key: string
    readonly phase: number
    readonly debited: number
    readonly credited: number
    readonly amount: number
  }
  readonly entry: { readonly key: string; readonly phase: number }
}
