import { existsSync } from 'node:fs'
import { defineConfig, type UserConfig } from 'tsdown'

/**
 * How each package is bundled, called in its folder: one ES module and one CommonJS file, with types. What it depends on stays
 * outside, but for p-retry: that is an ES module only, which Jest and older programs can't require.
 */
const BUNDLED = ['p-retry', 'is-network-error']

const COMMON: UserConfig = {
  cwd: process.cwd(),
  platform: 'node',
  target: 'node20.19',
  fixedExtension: true,
  sourcemap: false,
  logLevel: 'error',
  deps: { alwaysBundle: BUNDLED, onlyBundle: BUNDLED, neverBundle: ['@holdfast/core'] },
}

/** The command of the core. A bundle of its own, so that it shares no chunk with what is imported. */
const COMMAND = 'src/doctor/bin.ts'

export default defineConfig([
  {
    ...COMMON,
    entry: ['src/index.ts', 'src/opentelemetry.ts'].filter((file) => existsSync(file)),
    format: ['esm', 'cjs'],
    shims: true,
    dts: { sourcemap: false },
  },
  ...(existsSync(COMMAND)
    ? [{ ...COMMON, entry: { holdfast: COMMAND }, format: 'esm' as const, clean: false, dts: false }]
    : []),
])
