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

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  // TypeORM's entities are classes with decorators of the old kind.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    env: { NODE_OPTIONS: nodeOptions },
    coverage: { provider: 'v8', include: ['packages/*/src/**/*.ts'], reporter: ['text-summary', 'lcov'] },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/*.test.ts'] },
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
            'test/commits/**/*.test.ts',
          ],
          pool: 'forks',
          // They wait, for servers and for timeouts, more than they work.
          maxWorkers: 4,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      // Only when asked for (`npm run test:pgbouncer`): it must be installed.
      ...(process.env.HOLDFAST_TEST_PGBOUNCER === undefined
        ? []
        : [
            {
              extends: true as const,
              test: {
                name: 'pgbouncer',
                include: ['test/pgbouncer/**/*.test.ts'],
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
