/** GGUF adapters: llama.cpp computes with them what we compute (test/fixtures/llama-cpp/make.ts wrote its values). */

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { Adapter, Model, sequenceLogprobs } from '../../../src/engine/index.js'
import { exportGgufLora, ggufFile, readGgufLora } from '../../../src/export/gguf-lora.js'

const fixtures = fileURLToPath(new URL('../../fixtures', import.meta.url))
const { ids, cases } = JSON.parse(
  readFileSync(path.join(fixtures, 'llama-cpp', 'expected.json'), 'utf8'),
) as {
  readonly ids: readonly number[]
  readonly cases: Readonly<
    Record<string, { readonly sha256: string; readonly logprobs: readonly number[][] }>
  >
}
const scratch = mkdtempSync(path.join(tmpdir(), 'reasonrec-gguf-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const modelDir = (name: string) => path.join(fixtures, 'peft', 'models', path.extname(name).slice(1))
const adapterDir = (name: string) => path.join(fixtures, 'peft', 'made-by-peft', name)

function logSoftmax(logits: Float32Array): number[] {
  const largest = Math.max(...logits)
  const lse = largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0))
  return Array.from(logits, (logit) => logit - lse)
}

describe('export gguf-lora', () => {
  it.each(Object.entries(cases))(
    '%s: the file and the log-probs of llama.cpp',
    async (name, { sha256, logprobs }) => {
      const out = path.join(scratch, name)
      const { verified, files } = await exportGgufLora(modelDir(name), adapterDir(name), out, 'F32')
      expect(
        createHash('sha256')
          .update(readFileSync(path.join(out, ggufFile)))
          .digest('hex'),
      ).toBe(sha256)
      expect(files[0]?.sha256).toBe(sha256)
      expect(verified.max_difference).toBeLessThan(1e-5)

      const model = await Model.open(modelDir(name))
      const adapter = await Adapter.load(model, adapterDir(name))
      const { logits } = await sequenceLogprobs(model, { trained: adapter }, [ids], { logits: true })
      logprobs.forEach((row, position) => {
        const ours = logSoftmax(logits![0]!.subarray(position * model.vocab, (position + 1) * model.vocab))
        // Both compute in float32 in orders of their own; the fixture has six decimals.
        row.forEach((theirs, id) => {
          expect(Math.abs(ours[id]! - theirs), `position ${position}, id ${id}`).toBeLessThan(1e-4)
        })
      })
    },
  )

  it('F16 halves the file and is verified with the tolerance of halves', async () => {
    const out = path.join(scratch, 'half')
    const { verified, dtype, files } = await exportGgufLora(
      modelDir('all-linear.qwen2'),
      adapterDir('all-linear.qwen2'),
      out,
      'F16',
    )
    expect(dtype).toBe('F16')
    expect(files[0]!.bytes).toBeLessThan(
      readFileSync(path.join(scratch, 'all-linear.qwen2', ggufFile)).length,
    )
    expect(verified.max_difference).toBeGreaterThan(0)
    expect(verified.max_difference).toBeLessThan(verified.adapter_effect / 10)
  })

  it('a q or k whose rows stay in the order of Hugging Face would be another adapter', async () => {
    const model = await Model.open(modelDir('list.llama'))
    const adapter = await Adapter.load(model, adapterDir('list.llama'))
    const read = await readGgufLora(path.join(scratch, 'list.llama', ggufFile), model)
    expect(read.values()).toEqual(adapter.values())
    const asQwen2 = await Model.random({ ...model.config, family: 'qwen2' }, 1n, 0.1)
    const unordered = await readGgufLora(path.join(scratch, 'list.llama', ggufFile), asQwen2)
    expect(unordered.values()).not.toEqual(adapter.values())
  })
})
