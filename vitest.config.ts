import { defineConfig } from 'vitest/config'

const deadlines = ['test/unit/engine/jobs.test.ts']

// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default defineConfig({
  test: {
    // A .node file may be loaded in many workers, but the compute belongs to its own threads.
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'library',
          include: ['test/!(e2e)/**/*.test.ts', 'test/*.test.ts'],
          exclude: deadlines,
        },
      },
      // Tests of milliseconds have the machine to themselves, after all others.
      { extends: true, test: { name: 'deadlines', include: deadlines, sequence: { groupOrder: 2 } } },
      {
        extends: true,
        test: {
          name: 'e2e',
          sequence: { groupOrder: 1 },
          include: ['test/e2e/*.test.ts'],
          globalSetup: 'test/e2e/built-cli.ts',
          // A run here takes seconds, but other programs may leave it little of the machine.
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
    ],
    coverage: { provider: 'v8', include: ['src/**'], reporter: ['text-summary', 'html'] },
  },
})
