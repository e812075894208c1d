import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/**
 * Tests see the packages by their names, and their sources behind these: what was edited is what is tested. With
 * HOLDFAST_TEST_BUILT=1 (`npm run test:packed`) they see what is published instead.
 */
const CONDITION = '@holdfast/source'
const isBuilt = process.env.HOLDFAST_TEST_BUILT !== undefined
// Vite's own for the server, which a list replaces.
const conditions = [...(isBuilt ? [] : [CONDITION]), 'module', 'node', 'development|production']
// For the processes that tests start.
const nodeOptions = [process.env.NODE_OPTIONS, ...(isBuilt ? [] : [`--conditions=${CONDITION}`])]
  .filter(Boolean)
  .join(' ')

/**
 * With HOLDFAST_TEST_NATIVE=1 (`npm test`) Node loads the core itself, as it does for a user: several times as fast as through
 * vitest, in each of 200 processes. Only where no unit test runs: vitest would have these load a part of the core so, too.
 */
const isNative = process.env.HOLDFAST_TEST_NATIVE !== undefined && !isBuilt
const loadedByNode = isNative && {
  execArgv: [`--conditions=${CONDITION}`],
  server: { deps: { external: [/\/packages\/core\/src\//] } },
}

// Hundreds of processes load the same modules. With this, Node strips types and compiles only for the first of them.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/holdfast-tests')

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  // TypeORM's entities are classes with decorators of the old kind.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    env: { NODE_OPTIONS: nodeOptions },
    // Most wait, for servers and for timeouts, more than they work. The same for all projects, which then run side by side.
    maxWorkers: 4,
    coverage: { provider: 'v8', include: ['packages/*/src/**/*.ts'], reporter: ['text-summary', 'lcov'] },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/*.test.ts'],
          pool: 'forks',
          // Each takes milliseconds; on a busy machine, those that start a process take seconds.
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'server',
          globalSetup: 'test/support/build-packages.ts',
          include: [
            'test/support/**/*.test.ts',
            'test/integration/**/*.test.ts',
            'test/drop-in/**/*.test.ts',
            'test/faults/**/*.test.ts',
            'test/docs/**/*.test.ts',
            'test/programs/**/*.test.ts',
            'test/adapters/**/*.test.ts',
            'test/examples/**/*.test.ts',
            'test/packages/**/*.test.ts',
            'test/commits/**/*.test.ts',
          ],
          pool: 'forks',
          ...loadedByNode,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      // Only when asked for (`npm run test:long`): minutes more of the same.
      ...(process.env.HOLDFAST_TEST_LONG === undefined
        ? []
        : [
            {
              extends: true as const,
              test: {
                name: 'long',
                globalSetup: 'test/support/build-packages.ts',
                include: ['test/long/**/*.test.ts'],
                pool: 'forks' as const,
                ...loadedByNode,
                testTimeout: 60_000,
                hookTimeout: 60_000,
              },
            },
          ]),
      // Only when asked for (`npm run test:pooler`): it must be installed.
      ...(process.env.HOLDFAST_TEST_POOLER === undefined
        ? []
        : [
            {
              extends: true as const,
              test: {
                name: 'pooler',
                include: ['test/pooler/**/*.test.ts'],
                pool: 'forks' as const,
                maxWorkers: 1,
                testTimeout: 90_000,
                hookTimeout: 60_000,
              },
            },
          ]),
      {
        extends: true,
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            checker: 'tsc',
            include: ['test/types/**/*.test-d.ts'],
            tsconfig: 'test/tsconfig.test.json',
          },
        },
      },
    ],
  },
})
