// A few random histories are enough to notice a change: a test of its own states each fact that matters.
process.env.HOLDFAST_RUNS ??= '40'
process.env.HOLDFAST_SEED ??= '1'

/**
 * Changes one operator at a time in the engine, the policies and the reader of SQL, and checks whether a unit test notices:
 * `npm run mutation`, a quarter of an hour. A result is kept until its code changes; `-- --force` runs everything again.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  mutate: [
    'packages/core/src/engine/**/*.ts',
    'packages/core/src/policy/**/*.ts',
    'packages/core/src/sql/**/*.ts',
    '!packages/core/src/sql/stable-functions.ts',
  ],
  // A unit test needs none of these. Stryker would read the root's tsconfig by an API that TypeScript 7 doesn't have.
  ignorePatterns: ['/.ci', '/.turbo', '/docs', '/scripts', '/tsconfig.json', 'dist', 'coverage'],
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  // Only unit tests import the sources; the other projects import what is built.
  vitest: { dir: 'test/unit', related: true },
  coverageAnalysis: 'perTest',
  // A table or regular expression that is made at load time would cost a run of all tests each.
  ignoreStatic: true,
  concurrency: 2,
  timeoutMS: 10_000,
  incremental: true,
  incrementalFile: 'node_modules/.cache/mutation/incremental.json',
  reporters: ['clear-text', 'json', 'progress'],
  clearTextReporter: { allowColor: false, logTests: false, allowEmojis: false },
  jsonReporter: { fileName: 'node_modules/.cache/mutation/report.json' },
  tempDirName: 'coverage/mutation',
  allowConsoleColors: false,
}
