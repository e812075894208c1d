/** All contestants, by the name on the command line. */
export const CONTESTANTS = {
  holdfast: 'Holdfast',
  'pg-pool': 'pg.Pool',
  'postgres-js': 'postgres.js',
  'pg-pool-select-1': 'pg.Pool + select 1',
  'holdfast-report': "Holdfast, 'report'",
  'holdfast-plain': 'Holdfast, a plain write',
  tarn: 'tarn',
  'generic-pool': 'generic-pool',
} as const

export type ContestantName = keyof typeof CONTESTANTS

/** The contestant that is compared with all others. */
export const OURS: ContestantName = 'holdfast'

/** Whether there is a contestant of this name. */
export function isContestantName(name: string): name is ContestantName {
  return Object.hasOwn(CONTESTANTS, name)
}
