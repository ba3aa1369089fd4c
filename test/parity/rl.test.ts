/** Advantages, policy losses and their gradients through the model, against torch and TRL. */
import { join } from 'node:path'
import { it } from 'vitest'
import { type AdvantageEstimator, advantages, type PolicyLossConfig } from '../../src/engine/index.js'
import { flat, loadAdapter, openModel, policyStep } from './engine.js'
import { describeReference, readJson, readTensors, Tally, type Tensor, tensor } from './reference.js'

interface Reference {
  readonly model: string
  readonly adapter: string
  readonly prompts: readonly (readonly number[])[]
  readonly completions: readonly (readonly number[])[]
  readonly group_of_row: readonly number[]
  readonly rewards: readonly (readonly number[])[]
  readonly lengths: readonly (readonly number[])[]
  readonly constants: {
    readonly lo: number
    readonly hi: number
    readonly dual: number
    readonly gspo_lo: number
    readonly gspo_hi: number
    readonly cispo_cap: number
    readonly beta: number
    readonly lmax: number
  }
  readonly advantages: { readonly values: Readonly<Record<string, readonly number[]>> }
  readonly flat_layout: readonly {
    readonly name: string
    readonly offset: number
    readonly shape: readonly number[]
  }[]
  readonly tensors: Readonly<Record<string, { readonly atol?: number }>>
  readonly losses: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly losses_atol: number
}

const epsilons: Readonly<Record<string, number>> = { 'grpo_eps1e-4': 1e-4 }

/** Each loss of the reference in the engine's terms. */
const losses = {
  ppo_clip: () => ({ loss: 'ppo_clip' }),
  ppo_clip_dual: ({ dual }) => ({ loss: 'ppo_clip', dualClip: dual }),
  reinforce: () => ({ loss: 'reinforce' }),
  gspo: ({ gspo_lo, gspo_hi }) => ({ loss: 'gspo', clipLow: gspo_lo, clipHigh: gspo_hi }),
  gspo_wide: () => ({ loss: 'gspo' }),
  cispo: () => ({ loss: 'cispo' }),
  cispo_cap: ({ cispo_cap }) => ({ loss: 'cispo', ratioCap: cispo_cap }),
} as const satisfies Record<string, (constants: Reference['constants']) => Partial<PolicyLossConfig>>
type Loss = keyof typeof losses

interface AdvantageCase {
  readonly lengths: readonly (readonly number[])[]
  readonly rewards: readonly (readonly number[])[]
  readonly values: Readonly<Record<string, readonly number[]>>
}
interface Reading {
  readonly estimator: string
  readonly loss: Loss
  readonly aggregation: 'token_mean' | 'seq_mean_token_mean' | 'seq_mean_token_sum' | 'const_norm'
  readonly kl: 'none' | 'k1' | 'k2' | 'k3'
  readonly value: number
}

const tally = new Tally('reinforcement learning')

describeReference('rl/rl.json', (folder) => {
  const reference = readJson<Reference>(folder.path, 'rl', 'rl.json')
  const expected = readTensors(folder.path, 'rl', 'rl.safetensors')

  it('advantages', () => {
    const { cases } = readJson<{ cases: readonly AdvantageCase[] }>(folder.path, 'rl', 'advantages.json')
    const { rewards: rl, lengths: rlLengths, advantages: rlValues } = reference
    const all = [...cases, { rewards: rl, lengths: rlLengths, values: rlValues.values }]
    for (const { rewards, lengths, values } of all)
      for (const [key, value] of Object.entries(values)) {
        const got = advantages(
          key.replace(/_eps.*/, '') as AdvantageEstimator,
          Float64Array.from(rewards.flat()),
          Int32Array.from(rewards, (group) => group.length),
          { lengths: Int32Array.from(lengths.flat()), epsilon: epsilons[key] ?? 1e-6 },
        )
        tally.compare(key, got, value.flat(), 1e-9)
        tally.case()
      }
  })

  for (const reading of readings(reference)) {
    const { estimator, loss, aggregation, kl, value } = reading
    it(`${estimator}, ${loss}, ${aggregation}, ${kl}`, async () => {
      const model = await openModel(join(folder.path, 'models', reference.model))
      const adapter = await loadAdapter(model, join(folder.path, reference.adapter))
      const got = await policyStep(model, adapter, step(reference, expected, reading))
      tally.compare('loss', [got.result.sums.loss], [value], reference.losses_atol)
      const compareRows = (name: string, rows: readonly Float32Array[]) => {
        for (const [row, actual] of rows.entries()) {
          const key = `row${row}.${name}`
          tally.compare(key, actual, tensor(expected, key), reference.tensors[key]!.atol!)
        }
      }
      compareRows('logprob', got.logprobs)
      if (kl !== 'none') compareRows('ref_logprob', got.references)
      if (estimator === 'grpo' && expected.has(`grad.policy.${loss}.${aggregation}`))
        compareGradient(reference, expected, reading, new Map(flat(got.layout, got.gradients)))
      tally.case()
    })
  }
})

function readings(reference: Reference): Reading[] {
  return Object.entries(reference.losses).flatMap(([estimator, byLoss]) =>
    Object.entries(byLoss).map(([key, value]) => {
      const [loss, aggregation, kl] = key.split('|') as [Loss, Reading['aggregation'], Reading['kl']]
      return { estimator, loss, aggregation, kl, value }
    }),
  )
}

function step(
  reference: Reference,
  expected: Map<string, Tensor>,
  { estimator, loss, aggregation, kl }: Reading,
) {
  const { lo, hi, beta, lmax } = reference.constants
  return {
    prompts: reference.prompts,
    completions: reference.completions,
    groupOfRow: reference.group_of_row,
    oldLogprobs: reference.completions.map((_, row) =>
      Float32Array.from(tensor(expected, `row${row}.old_logprob`)),
    ),
    advantages: reference.advantages.values[estimator]!.flat(),
    loss: {
      clipLow: lo,
      clipHigh: hi,
      dualClip: 0,
      aggregation,
      maxLength: lmax,
      kl: kl === 'none' ? 'k3' : kl,
      beta: kl === 'none' ? 0 : beta,
      entropyBonus: 0,
      ...losses[loss](reference.constants),
    },
  } as const
}

/** The gradient of a case is that of its policy loss + beta * that of its KL, flat in the reference's own order. */
function compareGradient(
  reference: Reference,
  expected: Map<string, Tensor>,
  { loss, aggregation, kl }: Reading,
  gradients: Map<string, Float32Array>,
): void {
  const part = (key: string) => ({ values: tensor(expected, key), atol: reference.tensors[key]!.atol! })
  const policy = part(`grad.policy.${loss}.${aggregation}`)
  const { beta } = reference.constants
  const penalty = kl === 'none' ? null : part(`grad.kl.${kl}.${aggregation}`)
  const sum = policy.values.map((value, i) => value + (penalty ? beta * penalty.values[i]! : 0))
  const atol = policy.atol + (penalty ? beta * penalty.atol : 0)
  for (const { name, offset, shape } of reference.flat_layout) {
    const size = shape.reduce((product, n) => product * n, 1)
    tally.compare(`gradient of ${name}`, gradients.get(name)!, sum.subarray(offset, offset + size), atol)
  }
}
