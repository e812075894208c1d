import { DataSource } from 'typeorm'
import type { Service, StackSetup } from '../stack.ts'
import { optionsFor } from './options.ts'
import { TypeormService } from './typeorm-service.ts'

/**
 * TypeORM, which makes its own pg.Pool and listens to its errors, with nothing but connection settings and `poolSize`.
 *
 * @see https://typeorm.io/docs/getting-started
 */
export async function open(setup: StackSetup): Promise<Service> {
  const dataSource = await new DataSource(optionsFor(setup)).initialize()
  const { schema } = setup
  return new TypeormService({ dataSource, schema, transact: (work) => dataSource.transaction(work) })
}
