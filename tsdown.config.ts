import { existsSync } from 'node:fs'
import { defineConfig } from 'tsdown'

/**
 * How each package is bundled, called in its folder: one ES module and one CommonJS file, with types. What it depends on stays
 * outside, but for p-retry: that is an ES module only, which Jest and older programs can't require.
 */
const BUNDLED = ['p-retry', 'is-network-error']

export default defineConfig({
  cwd: process.cwd(),
  entry: ['src/index.ts', 'src/opentelemetry.ts'].filter((file) => existsSync(file)),
  format: ['esm', 'cjs'],
  platform: 'node',
  target: 'node20.19',
  fixedExtension: true,
  shims: true,
  dts: { sourcemap: false },
  sourcemap: false,
  logLevel: 'error',
  deps: { alwaysBundle: BUNDLED, onlyBundle: BUNDLED, neverBundle: ['@holdfast/core'] },
})
