import { Pool, type PoolOptions } from '@holdfast/core'

// Listens, and does nothing else: only that keeps the process alive, until it is told to stop. The pool isn't ended.
const pool = new Pool(JSON.parse(process.argv[2] as string) as PoolOptions)
const subscription = await pool.listen(
  'orders',
  (payload) => {
    process.send?.(payload)
    if (payload === 'stop') void subscription.unlisten()
  },
  { onReconnect: () => process.send?.('again') },
)
process.send?.('listens')
