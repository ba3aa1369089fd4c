/** Advantages, policy losses and their gradients through the model, against torch and TRL. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { addon, flat, loadAdapter, openModel, policyStep } from './engine.js'
import { folders, readJson, readTensors, Tally, tensor } from './reference.js'

interface Reference {
  readonly model: string
  readonly adapter: string
  readonly prompts: readonly (readonly number[])[]
  readonly completions: readonly (readonly number[])[]
  readonly group_of_row: readonly number[]
  readonly rewards: readonly (readonly number[])[]
  readonly constants: { readonly lo: number; readonly hi: number; readonly dual: number; readonly beta: number; readonly lmax: number }
  readonly advantages: { readonly values: Readonly<Record<string, readonly number[]>> }
  readonly flat_layout: readonly { readonly name: string; readonly offset: number; readonly shape: readonly number[] }[]
  readonly tensors: Readonly<Record<string, { readonly atol?: number }>>
  readonly losses: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly losses_atol: number
}

const estimators: Readonly<Record<string, { name: 'grpo' | 'dr_grpo' | 'rloo'; epsilon: number }>> = {
  grpo: { name: 'grpo', epsilon: 1e-6 },
  'grpo_eps1e-4': { name: 'grpo', epsilon: 1e-4 },
  dr_grpo: { name: 'dr_grpo', epsilon: 0 },
  rloo: { name: 'rloo', epsilon: 0 },
}
const losses = { ppo_clip: { loss: 'ppo_clip', dual: false }, ppo_clip_dual: { loss: 'ppo_clip', dual: true }, reinforce: { loss: 'reinforce', dual: false } } as const
type Loss = keyof typeof losses

const tally = new Tally('reinforcement learning')

for (const folder of folders().filter(({ path }) => existsSync(join(path, 'rl', 'rl.json'))))
  describe(`rl, ${folder.name}`, () => {
    const reference = readJson<Reference>(folder.path, 'rl', 'rl.json')
    const expected = readTensors(folder.path, 'rl', 'rl.safetensors')

    it('advantages', async () => {
      const { native } = await addon()
      const { cases } = readJson<{ cases: readonly { rewards: readonly (readonly number[])[]; values: Readonly<Record<string, readonly number[]>> }[] }>(folder.path, 'rl', 'advantages.json')
      for (const { rewards, values } of [...cases, { rewards: reference.rewards, values: reference.advantages.values }])
        for (const [key, value] of Object.entries(values)) {
          const estimator = estimators[key]
          if (!estimator) continue // estimators of a later registry
          const flatRewards = Float64Array.from(rewards.flat())
          const sizes = Int32Array.from(rewards, (group) => group.length)
          const got = native.advantages(estimator.name, flatRewards, sizes, new Uint8Array(flatRewards.length).fill(1), estimator.epsilon)
          tally.compare(key, got, value.flat(), 1e-9)
          tally.case()
        }
    })

    const cases = Object.entries(reference.losses).flatMap(([estimator, byLoss]) =>
      Object.entries(byLoss).map(([key, value]) => {
        const [loss, aggregation, kl] = key.split('|') as [string, 'token_mean', 'none' | 'k1' | 'k2' | 'k3']
        return { estimator, loss, aggregation, kl, value }
      }),
    )
    for (const { estimator, loss, aggregation, kl, value } of cases) {
      if (!(loss in losses)) continue // losses of a later registry
      it(`${estimator}, ${loss}, ${aggregation}, ${kl}`, async () => {
        const model = await openModel(join(folder.path, 'models', reference.model))
        const adapter = await loadAdapter(model, join(folder.path, reference.adapter))
        const old = reference.completions.map((_, row) => Float32Array.from(tensor(expected, `row${row}.old_logprob`)))
        const got = await policyStep(model, adapter, {
          prompts: reference.prompts,
          completions: reference.completions,
          groupOfRow: reference.group_of_row,
          oldLogprobs: old,
          advantages: reference.advantages.values[estimator]!.flat(),
          loss: {
            loss: losses[loss as Loss].loss,
            clipLow: reference.constants.lo,
            clipHigh: reference.constants.hi,
            dualClip: losses[loss as Loss].dual ? reference.constants.dual : 0,
            aggregation,
            maxLength: reference.constants.lmax,
            kl: kl === 'none' ? 'k3' : kl,
            beta: kl === 'none' ? 0 : reference.constants.beta,
            entropyBonus: 0,
          },
        })
        tally.compare('loss', [got.result.sums.loss], [value], reference.losses_atol)
        reference.completions.forEach((_, row) =>
          tally.compare(`row${row}.logprob`, got.logprobs[row]!, tensor(expected, `row${row}.logprob`), reference.tensors[`row${row}.logprob`]!.atol!),
        )
        if (kl !== 'none')
          reference.completions.forEach((_, row) =>
            tally.compare(`row${row}.ref_logprob`, got.references[row]!, tensor(expected, `row${row}.ref_logprob`), reference.tensors[`row${row}.ref_logprob`]!.atol!),
          )
        const policyKey = `grad.policy.${loss}.${aggregation}`
        if (estimator === 'grpo' && expected.has(policyKey)) {
          const policy = tensor(expected, policyKey)
          const klKey = `grad.kl.${kl}.${aggregation}`
          const klGradient = kl === 'none' ? null : tensor(expected, klKey)
          const atol = reference.tensors[policyKey]!.atol! + (kl === 'none' ? 0 : reference.constants.beta * reference.tensors[klKey]!.atol!)
          const gradients = new Map(flat(got.layout, got.gradients))
          for (const { name, offset, shape } of reference.flat_layout) {
            const size = shape.reduce((product, n) => product * n, 1)
            const sum = Float64Array.from({ length: size }, (_, i) => policy[offset + i]! + (klGradient ? reference.constants.beta * klGradient[offset + i]! : 0))
            tally.compare(`gradient of ${name}`, gradients.get(name)!, sum, atol)
          }
        }
        tally.case()
      })
    }
  })
