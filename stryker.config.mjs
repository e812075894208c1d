// A few random histories are enough to notice a change; what matters is stated as a fact in a test of its own.
process.env.HOLDFAST_RUNS ??= '40'
process.env.HOLDFAST_SEED ??= '1'

/**
 * Changes the engine, the policies and the reader of SQL, one operator at a time, and looks whether a unit test notices: `npm run mutation`,
 * some ten minutes. What was judged before, and hasn't changed since, isn't judged again; `-- --force` judges all anew.
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
  // What isn't part of a unit test needs no copy. Stryker would read the root's tsconfig by an API that TypeScript 7 hasn't.
  ignorePatterns: ['/.ci', '/.turbo', '/docs', '/scripts', '/tsconfig.json', 'dist', 'coverage'],
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  // By their relations the other projects' tests have none with sources: they import what is built.
  vitest: { dir: 'test/unit', related: true },
  coverageAnalysis: 'perTest',
  // Tables and regular expressions made at load time would cost a run of all tests each.
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
