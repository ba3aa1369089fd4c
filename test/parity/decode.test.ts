/** Greedy continuations, the sampler's distribution, and scores of candidates after one prefix. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { addon, greedy, loadAdapter, openModel, sampling, scoreCandidates } from './engine.js'
import { describeReference, readJson, readTensors, Tally, tensor } from './reference.js'

interface Greedy {
  readonly cases: readonly {
    readonly model: string
    readonly adapter: string | null
    readonly repetition_penalty: number
    readonly prompt: readonly number[]
    readonly tokens: readonly number[]
    readonly logprobs: readonly number[]
    readonly atol: number
  }[]
}
interface Sampler {
  readonly ids: readonly number[]
  readonly positions: readonly number[]
  readonly settings: readonly {
    readonly T?: number
    readonly k?: number
    readonly p?: number
    readonly rep?: number
  }[]
  readonly tensors: Readonly<Record<string, { readonly atol?: number }>>
  readonly kept: Readonly<Record<string, number>>
}
interface Candidates {
  readonly model: string
  readonly adapter: string
  readonly prefix: readonly number[]
  readonly candidates: readonly (readonly number[])[]
  readonly joint: readonly number[]
  readonly mean: readonly number[]
  readonly joint_adapter_off: readonly number[]
  readonly atol_joint: number
}

const tally = new Tally('decoding')

describeReference('decode/greedy.json', (folder) => {
  const { cases } = readJson<Greedy>(folder.path, 'decode', 'greedy.json')
  cases.forEach((reference, index) => {
    it(`${index}: ${reference.adapter ?? reference.model}, penalty ${reference.repetition_penalty}`, async () => {
      const model = await openModel(join(folder.path, 'models', reference.model))
      const adapter = reference.adapter
        ? await loadAdapter(model, join(folder.path, 'lora', reference.adapter))
        : null
      const got = await greedy(
        model,
        adapter,
        reference.prompt,
        reference.tokens.length,
        reference.repetition_penalty,
      )
      expect([...got.tokens]).toEqual(reference.tokens)
      tally.compare('logprobs', got.logprobs, reference.logprobs, reference.atol)
      tally.case()
    })
  })
})

describeReference('decode/sampler.json', (folder) => {
  const reference = readJson<Sampler>(folder.path, 'decode', 'sampler.json')
  const tensors = readTensors(folder.path, 'decode', 'sampler.safetensors')
  it('filtered distributions', async () => {
    const { native } = await addon()
    reference.positions.forEach((position, row) => {
      const logits = Float32Array.from(tensor(tensors, `logits.${row}`))
      const context = Int32Array.from(reference.ids.slice(0, position + 1))
      reference.settings.forEach(({ T, k, p, rep }, setting) => {
        const key = `dist.${row}.${setting}`
        const filters = sampling({
          temperature: T ?? 1,
          topK: k ?? 0,
          topP: p ?? 1,
          repetitionPenalty: rep ?? 1,
        })
        const got = native.samplingDistribution(logits, context, filters)
        tally.compare(key, got, tensor(tensors, key), reference.tensors[key]?.atol ?? 1e-6)
        expect(got.filter((mass) => mass > 0).length, `${key}: tokens kept`).toBe(reference.kept[key])
        tally.case()
      })
    })
  })
})

describeReference('candidates/candidates.json', (folder) => {
  const reference = readJson<Candidates>(folder.path, 'candidates', 'candidates.json')
  for (const withAdapter of [true, false])
    it(`after one prefix, adapter ${withAdapter ? 'on' : 'off'}`, async () => {
      const model = await openModel(join(folder.path, 'models', reference.model))
      const adapter = withAdapter
        ? await loadAdapter(model, join(folder.path, 'lora', reference.adapter))
        : null
      const got = await scoreCandidates(model, adapter, reference.prefix, reference.candidates)
      const joint = withAdapter ? reference.joint : reference.joint_adapter_off
      tally.compare('joint', got.joint, joint, reference.atol_joint)
      if (withAdapter) tally.compare('mean', got.mean, reference.mean, reference.atol_joint)
      tally.case()
    })
})
