import type { DataSource, EntityManager } from 'typeorm'

export function holdfast<Options>(options: Options): Options {
  return options
}

export function transaction<Result>(
  dataSource: DataSource,
  fn: (manager: EntityManager) => Promise<Result>,
): Promise<Result> {
  return dataSource.transaction(fn)
}
