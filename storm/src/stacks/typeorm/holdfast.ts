import { holdfast, transaction } from '@holdfast/typeorm'
import { DataSource } from 'typeorm'
import type { Service, StackSetup } from '../stack.ts'
import { optionsFor } from './options.ts'
import { TypeormService } from './typeorm-service.ts'

/** The same with its options through `holdfast`; `transaction` and `query_timeout` are all that is said against failures. */
export async function open(setup: StackSetup): Promise<Service> {
  const { schema, queryTimeoutMillis } = setup
  const options = holdfast({ ...optionsFor(setup), holdfast: { query_timeout: queryTimeoutMillis } })
  const dataSource = await new DataSource(options).initialize()
  return new TypeormService({ dataSource, schema, transact: (work) => transaction(dataSource, work) })
}
