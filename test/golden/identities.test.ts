/**
 * What must be equal to the bit, seen through the library's own face: a policy step on samples of the
 * same policy, thread counts, batch company, and the way a step is cut into micro-batches.
 */
import { afterEach, describe, expect, it } from 'vitest'
import {
  Adapter,
  aggregationWeights,
  createTrie,
  type DecodeGroup,
  generate,
  linearNames,
  Model,
  type PolicyLossConfig,
  type Sample,
  setThreads,
  Trainer,
} from '../../src/engine/index.js'
import type { NativeModelConfig } from '../../src/engine/native.js'

const shape: NativeModelConfig = {
  family: 'qwen3',
  hidden: 48,
  intermediate: 80,
  layers: 2,
  vocab: 97,
  maxPosition: 256,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  rmsEps: 1e-6,
  ropeTheta: 10_000,
  ropeScaling: { kind: 'none' },
  tiedHead: true,
  qkvBias: false,
  oBias: false,
  mlpBias: false,
  qkNorm: true,
}
const loss: PolicyLossConfig = {
  loss: 'ppo_clip',
  clipLow: 0.2,
  clipHigh: 0.28,
  dualClip: 0,
  aggregation: 'token_mean',
  maxLength: 0,
  kl: 'k3',
  beta: 0.01,
  entropyBonus: 0,
}
const optimiser = { learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 }
const script = [
  { kind: 'free', maxNew: 12, sampling: { temperature: 0.9 } },
  { kind: 'given', ids: [5, 6] },
  { kind: 'choose', sampling: { temperature: 0.9 } },
] as const

afterEach(() => setThreads(2))

interface Held {
  readonly dtype: 'fp32' | 'bf16'
  readonly compute: 'fp32' | 'bf16'
}
const fp32: Held = { dtype: 'fp32', compute: 'fp32' }
const widened: Held = { dtype: 'bf16', compute: 'fp32' }
const bf16: Held = { dtype: 'bf16', compute: 'bf16' }

/** A model whose adapter is not zero: one supervised step from a fixed start. */
async function policy({ dtype, compute }: Held) {
  const model = await Model.random({ ...shape, compute }, 11n, 0.08, dtype)
  const adapter = await Adapter.create(
    model,
    { rank: 4, alpha: 8, rslora: false, targets: [...linearNames], dropout: 0 },
    3n,
  )
  const trainer = await Trainer.forAdapter(model, { adapter, tokenBudget: 512 })
  const ids = Int32Array.from({ length: 40 }, (_, i) => (i * 31 + 7) % shape.vocab)
  await trainer.accumulateSft([{ ids, weights: Float32Array.from(ids, (_, t) => (t < 10 ? 0 : 1)) }], 30)
  await trainer.apply(optimiser)
  return { model, adapter }
}

/** Prompts about the width of a panel of keys (32 or 8), groups of 3. */
function groups(): DecodeGroup[] {
  return [7, 8, 9, 31, 32, 33].map((length, g) => ({
    prompt: Int32Array.from({ length }, (_, i) => (i * 17 + g * 5 + 1) % shape.vocab),
    samples: [0, 1, 2].map((s) => ({ stream: BigInt(100 * g + s) })),
    trie: createTrie([
      [20, 21, 9],
      [20, 22, 9],
      [30, 9],
    ]),
  }))
}

const sampleAll = (model: Model, trained: Adapter, maxRows = 64): Promise<Sample[][]> =>
  generate(model, { trained }, groups(), script, { seed: 5n, maxRows })

function policyGroups(samples: readonly (readonly Sample[])[]) {
  return groups().map(({ prompt, trie }, g) => ({
    prompt,
    trie,
    completions: samples[g]!.map((sample, s) => ({
      ids: sample.tokens,
      mask: sample.kinds.map((kind) => (kind === 1 ? 0 : 1)),
      oldLogprobs: sample.logprobs,
      advantage: s - 1,
      trieBegin: sample.kinds.indexOf(2),
    })),
  }))
}

async function policyUpdate(threads: number, tokenBudget: number, held = fp32) {
  await setThreads(threads)
  const { model, adapter } = await policy(held)
  const samples = await sampleAll(model, adapter)
  const trainer = await Trainer.forAdapter(model, { adapter, tokenBudget })
  const step = policyGroups(samples)
  const lengths = Int32Array.from(
    step.flatMap(({ completions }) => completions.map(({ mask }) => mask.reduce((n, m) => n + m, 0))),
  )
  const weights = aggregationWeights(loss.aggregation, lengths, 0)
  const reference = { frozen: await adapter.clone() }
  const result = await trainer.accumulatePolicy(step, loss, weights, { temperature: 0.9, reference })
  const gradients = trainer.gradients()
  await trainer.apply(optimiser)
  return { samples, result, gradients, values: trainer.values() }
}

describe('identities to the bit', () => {
  it.each([fp32, widened, bf16])(
    'a sampled log-prob is the trained one: ratio 1, KL 0 (weights in $dtype, products in $compute)',
    async (held) => {
      const { samples, result } = await policyUpdate(2, 256, held)
      const flat = samples.flat()
      const trained = Float32Array.from(
        flat.flatMap((s) => [...s.kinds]).map((kind, i) => (kind === 1 ? 0 : result.logprobs[i]!)),
      )
      expect(trained).toEqual(Float32Array.from(flat.flatMap((s) => [...s.logprobs])))
      expect(result.sums.maxAbsLogRatio).toBe(0)
      expect(result.sums.ratioSum).toBe(result.sums.tokens)
      expect(result.sums.klSum).toBe(0)
    },
  )

  it.each([fp32, bf16])('neither threads nor micro-batches change an update ($compute)', async (held) => {
    const [one, two, cut] = [
      await policyUpdate(1, 4096, held),
      await policyUpdate(2, 4096, held),
      await policyUpdate(2, 64, held),
    ]
    for (const other of [two, cut]) {
      expect(other.gradients).toEqual(one.gradients)
      expect(other.values).toEqual(one.values)
    }
    expect(one.gradients.some((g) => g !== 0)).toBe(true)
  })

  it('a sample does not know its company', async () => {
    const { model, adapter } = await policy(fp32)
    const [together, alone] = [await sampleAll(model, adapter), await sampleAll(model, adapter, 1)]
    expect(alone).toEqual(together)
    const [last] = await generate(model, { trained: adapter }, groups().slice(-1), script, {
      seed: 5n,
      maxRows: 64,
    })
    expect(last).toEqual(together.at(-1))
  })

  it('one prompt for a group or a prompt for each sample: equal to rounding', async () => {
    const { model, adapter } = await policy(fp32)
    const shared = await sampleAll(model, adapter)
    const given = groups().map((group, g) => ({
      ...group,
      trie: null,
      samples: shared[g]!.map((sample, s) => ({ stream: BigInt(s), given: sample.tokens })),
      candidates: [[40, 41]],
    }))
    const score = async (sharePrefix: boolean) =>
      (await generate(model, { trained: adapter }, given, [], { seed: 5n, maxRows: 64, sharePrefix }))
        .flat()
        .map(({ candidateJoint }) => candidateJoint[0]!)
    const [one, other] = [await score(true), await score(false)]
    // float32 sums in another order: about 1e-6 of values near 10.
    one.forEach((value, i) => {
      expect(Math.abs(value - other[i]!)).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)))
    })
  })
})
