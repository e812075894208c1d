import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Tests see the packages as published, from `dist`; coverage (HOLDFAST_TEST_SRC=1) sees the same code as sources. */
const alias = process.env.HOLDFAST_TEST_SRC
  ? ['core', 'drizzle', 'kysely', 'typeorm'].map((name) => ({
      find: new RegExp(`^@holdfast/${name}$`),
      replacement: fileURLToPath(new URL(`packages/${name}/src/index.ts`, import.meta.url)),
    }))
  : []

export default defineConfig({
  resolve: { alias },
  // TypeORM's entities are classes with decorators of the old kind.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
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
