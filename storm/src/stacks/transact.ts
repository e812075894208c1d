/** Runs a transaction in the way of one stack; one that retries begins the work again. */
export type Transact<Tx> = (work: (tx: Tx) => Promise<void>) => Promise<void>
