import { holdfast, transaction } from '@holdfast/typeorm'
import { DataSource } from 'typeorm'
import type { Service, StackSetup } from '../stack.ts'
import { optionsFor } from './options.ts'
import { TypeormService } from './typeorm-service.ts'

/** The same with its options through `holdfast`; `transaction` is all that is said against failures. */
export async function open(setup: StackSetup): Promise<Service> {
  const options = holdfast(optionsFor(setup))
  const dataSource = await new DataSource(options).initialize()
  return new TypeormService({
    dataSource,
    schema: setup.schema,
    transact: (work) => transaction(dataSource, work),
  })
}
