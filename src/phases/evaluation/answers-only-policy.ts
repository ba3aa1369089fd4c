/**
 * answers_only_rl, GRPO on answers alone: G titles of each prompt chosen among the candidates, reward 1 for the true one,
 * the true title taught where rl.allfail says so. Estimator and loss are the run's (rl.adv, rl.loss), with the divergence
 * from answers_only_sft in the loss; rl.allfail simpo has no counterpart here.
 */

import type { Instance } from '../../data/types.js'
import {
  type Adapter,
  advantages,
  aggregationWeights,
  createTrie,
  type DecodeGroup,
  generate,
  type PolicyGroup,
  type Sample,
} from '../../engine/index.js'
import { taughtChoice } from '../internalization/policy-batch.js'
import { policyLoss } from '../internalization/policy-loss.js'
import { type SampledCompletion, withTreatment } from '../internalization/policy-selection.js'
import { PromptSource } from '../internalization/rollout-rounds.js'
import { decodeOptions, type PhaseContext } from '../run/context.js'
import { trainingParts } from '../run/instances.js'
import { derivedSeed, streamId } from '../run/streams.js'
import type { AnswersOnlyTraining } from './answers-only-training.js'

/** What it learns in a step; the curve is the share of right titles among those that were sampled. */
export function answerPolicy(
  context: PhaseContext,
  reference: Adapter,
): Pick<AnswersOnlyTraining, 'accumulate'> {
  const { config, dataset, signal } = context
  const { rl } = config
  const prompts = new PromptSource(context, trainingParts(dataset, config).internalization)
  const loss = policyLoss({ ...rl, kl: { ...rl.kl, where: 'loss' } })
  return {
    accumulate: async (trainer, adapter, step) => {
      const asked = prompts.of(step, 'prompts', rl.prompts)
      const { groups, hitRate } = await chosenTitles(context, adapter, asked, step)
      if (groups.length === 0) return { value: hitRate, learns: false }
      const lengths = groups.flatMap(({ completions }) =>
        completions.map(({ mask }) => mask.reduce((sum, bit) => sum + bit, 0)),
      )
      const weights = aggregationWeights(rl.agg, Int32Array.from(lengths), rl.max_new)
      await trainer.accumulatePolicy(groups, loss, weights, {
        temperature: rl.temperature,
        reference: { frozen: reference },
        signal,
      })
      return { value: hitRate, learns: true }
    },
  }
}

/** A step's groups with advantages; groups of hits or misses alone carry only what is taught. */
async function chosenTitles(
  context: PhaseContext,
  adapter: Adapter,
  instances: readonly Instance[],
  step: number,
): Promise<{ readonly groups: PolicyGroup[]; readonly hitRate: number }> {
  const { encoding, base, config, signal } = context
  const { rl } = config
  const asked = instances.map((instance, index) => ({
    prompt: encoding.prompt(instance, 'direct'),
    trie: createTrie(encoding.choices(instance)),
    samples: Array.from({ length: rl.group }, (_, sample) => ({
      stream: streamId('answers_only', step, index, sample),
      given: encoding.frame.directOpen,
    })),
  }))
  const script = [{ kind: 'choose', sampling: { temperature: rl.temperature } }] as const
  const samples = await generate(
    base,
    { trained: adapter },
    asked,
    script,
    decodeOptions(context, derivedSeed(config.seed, 'answers only')),
    { signal },
  )
  const trained = samples
    .flat()
    .reduce((sum, { kinds }) => sum + kinds.filter((kind) => kind === 2).length, 0)
  const rewards = samples.map((own, index) => hitsOf(context, instances[index] as Instance, own))
  const baselines =
    rl.adv === 'remax' ? await greedyHits(context, adapter, instances, asked.map(alone)) : new Float64Array()
  const mixed = rewards.map((own) => own.includes(0) && own.includes(1))
  const shown = mixed.map((one) => one || !rl.dynamic_sampling)
  const credit = creditOf(context, samples, rewards, baselines, shown)
  const groups = asked.flatMap(({ prompt, trie }, index) => {
    const instance = instances[index] as Instance
    const failed = !rewards[index]?.includes(1)
    const sampled = (samples[index] ?? []).map(
      ({ tokens, kinds, logprobs, entropies }, sample): SampledCompletion => ({
        ids: tokens,
        mask: Uint8Array.from(kinds, (kind) => (kind === 2 ? 1 : 0)),
        oldLogprobs: logprobs,
        entropies,
        advantage: credit[index]?.[sample] ?? 0,
        trieBegin: kinds.indexOf(2),
      }),
    )
    const taught = (): SampledCompletion => ({
      ...taughtChoice(encoding.frame.directOpen, encoding.rightChoice(instance), rl.gt_weight / trained),
      entropies: new Float32Array(),
    })
    const completions = [
      ...(shown[index] ? sampled : []),
      ...(failed && rl.allfail === 'add_gt' ? [taught()] : []),
    ]
    return completions.length === 0 ? [] : [{ prompt, trie, completions }]
  })
  const hits = rewards.flatMap((own) => Array.from(own))
  const hitRate = hits.reduce((sum, hit) => sum + hit, 0) / hits.length
  return { groups: withTreatment(context, groups, BigInt(step)), hitRate }
}

/** Advantages of the groups that are shown to the loss; the others take no part in anything. */
function creditOf(
  { config: { rl } }: PhaseContext,
  samples: readonly (readonly Sample[])[],
  rewards: readonly Float64Array[],
  baselines: Float64Array,
  shown: readonly boolean[],
): Float64Array[] {
  const only = <T>(values: readonly T[]): T[] => values.filter((_, index) => shown[index])
  const flat = Float64Array.from(only(rewards).flatMap((own) => Array.from(own)))
  const sizes = Int32Array.from(only(rewards), (own) => own.length)
  const all = advantages(rl.adv, flat, sizes, {
    epsilon: rl.adv_epsilon,
    passK: rl.pass_k,
    passStd: rl.pass_std,
    lengths: Int32Array.from(
      only(samples).flatMap((own) => own.map(({ kinds }) => kinds.filter((kind) => kind === 2).length)),
    ),
    hits: Uint8Array.from(flat),
    baselines: Float64Array.from(only(Array.from(baselines))),
  })
  let next = 0
  return rewards.map((own, index) => {
    if (!shown[index]) return new Float64Array(own.length)
    next += own.length
    return all.subarray(next - own.length, next)
  })
}

function hitsOf({ method, dataset }: PhaseContext, instance: Instance, own: readonly Sample[]): Float64Array {
  const right = method.rightChoice(dataset, instance)
  return Float64Array.from(own, ({ choice }) => (choice === right ? 1 : 0))
}

function alone(group: DecodeGroup): DecodeGroup {
  return { ...group, samples: group.samples.slice(0, 1) }
}

/** 1 where the likeliest choice is right. */
async function greedyHits(
  context: PhaseContext,
  adapter: Adapter,
  instances: readonly Instance[],
  groups: readonly DecodeGroup[],
): Promise<Float64Array> {
  const script = [{ kind: 'choose', sampling: { temperature: 0 } }] as const
  const { base, signal } = context
  const options = decodeOptions(context, 0n)
  const greedy = await generate(base, { trained: adapter }, groups, script, options, { signal })
  return Float64Array.from(greedy, (own, index) => hitsOf(context, instances[index] as Instance, own)[0] ?? 0)
}
