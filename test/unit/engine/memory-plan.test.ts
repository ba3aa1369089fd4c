/**
 * What planMemory says against processes that do it: the embedded default, one process per phase (bench/memory.ts has
 * more models). Compared beyond what the process took before: the runtime would hide an error of a small model.
 */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type MemoryQuestion, planMemory } from '../../../src/engine/index.js'
import { tinyConfig } from './tiny-model.js'

const script = fileURLToPath(new URL('../../../bench/memory.ts', import.meta.url))
const mebibyte = 2 ** 20

const question: MemoryQuestion = {
  config: tinyConfig,
  dtype: 'fp32',
  stored: 4,
  process: 0,
  full: false,
  rank: 8,
  prompt: 100,
  completion: 20,
  rows: 16,
  group: 4,
  scored: false,
  sequences: 8,
  prompts: 4,
  tokenBudget: 1024,
  recompute: false,
  dropout: false,
  reference: true,
}

describe('the memory plan', () => {
  it.skipIf(!existsSync('/proc/self/clear_refs')).each(['decode', 'sft', 'grpo'])(
    'of %s is within a tenth of the measured peak',
    { timeout: 120_000 },
    (phase) => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['--import', 'tsx', script, 'embedded', phase],
        { encoding: 'utf8' },
      )
      expect(stderr).toBe('')
      expect(status).toBe(0)
      const { before, planned, peak } = JSON.parse(stdout) as Record<string, number>
      expect(planned! / peak!).toBeGreaterThan(0.9)
      expect(planned! / peak!).toBeLessThan(1.1)
      // Beyond the process itself: what V8 takes while it runs differs by a few MiB from run to run.
      const beyond = Math.abs(planned! - peak!) - 8 * mebibyte
      expect(beyond).toBeLessThan(0.1 * (peak! - before!))
    },
  )

  it('adds up, and grows with what takes memory', () => {
    const plan = planMemory(question)
    for (const { total, parts } of Object.values(plan))
      expect(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(total)
    const total = (changes: Partial<MemoryQuestion>) => planMemory({ ...question, ...changes })
    expect(total({ recompute: true }).sft.total).toBeLessThan(plan.sft.total)
    expect(total({ dropout: true }).sft.total).toBeGreaterThan(plan.sft.total)
    expect(total({ rows: 32 }).decode.total).toBeGreaterThan(plan.decode.total)
    expect(total({ reference: false }).grpo.total).toBeLessThan(plan.grpo.total)
    expect(total({ tokenBudget: 128 }).sft.total).toBeLessThan(plan.sft.total)
    expect(plan.grpo.total).toBeGreaterThan(plan.decode.total)
    // bf16 halves matrices, here of a model whose heads and vectors are small beside them.
    const [fp32, bf16] = [plan.load.parts.weights!, total({ dtype: 'bf16' }).load.parts.weights!]
    expect(bf16 / fp32).toBeCloseTo(0.5, 1)
  })
})
