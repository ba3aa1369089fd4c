/**
 * Rollouts of Internalization: G responses per prompt from the policy, read, scored and rewarded.
 * Choices are scored behind each well-formed reasoning by the policy (ndcg_cand, ndcg_top); the gain of the
 * right one is measured by the frozen model of Imitation (rl.reward.scorer: ref) or by the policy, against the
 * direct prompt under the frozen model.
 */

import type { Instance } from '../data/types.js'
import type { Adapters, Model } from '../engine/index.js'
import type { ParsedAnswer } from '../methods/method.js'
import { untrustedPassage } from '../prompts/untrusted-text.js'
import type { ComposedReward, GroupRewards } from '../rewards/composition.js'
import { isAnswered, type Rollout } from '../rewards/reward.js'
import type { PhaseContext, StageModel } from './context.js'
import { type AskedGroup, askResponses, type ChoiceScores, type Response, scoreChoices } from './responses.js'
import { derivedSeed, type StreamPurpose, streamId } from './streams.js'

export interface RolloutGroup {
  readonly instance: Instance
  readonly asked: AskedGroup
  readonly rollouts: readonly Rollout[]
  readonly rewards: GroupRewards
}

export interface RolloutSetting {
  readonly policy: StageModel
  /** The frozen model of Imitation. */
  readonly reference: Adapters
  readonly reward: ComposedReward
}

/** Where a group's random streams come from. */
export interface RolloutPlace {
  readonly purpose: StreamPurpose
  readonly step: number
  readonly firstPrompt: number
}

export async function rollOut(
  context: PhaseContext,
  setting: RolloutSetting,
  instances: readonly Instance[],
  place: RolloutPlace,
): Promise<RolloutGroup[]> {
  const { rl, seed } = context.config
  const asks = instances.map((instance, index) => ({
    instance,
    mode: 'reason' as const,
    streams: Array.from({ length: rl.group }, (_, sample) =>
      streamId(place.purpose, place.step, place.firstPrompt + index, sample),
    ),
  }))
  const groups = await askResponses(context, setting.policy, asks, {
    style: rl.answer,
    maxNew: rl.max_new,
    sampling: { temperature: rl.temperature },
    seed: derivedSeed(seed, 'rollout'),
    scored: scoredByPolicy(context, setting),
  })
  const read = groups.map((group) => readGroup(context, group))
  const scores = await scoreGroups(context, setting, groups, read)
  return groups.map((asked, index) => {
    const instance = asked.ask.instance
    const rollouts = read[index]!.map((one, sample) => ({ ...one, ...scores[index]![sample]! }))
    return {
      instance,
      asked,
      rollouts,
      rewards: setting.reward.compute(rollouts, { dataset: context.dataset, instance }),
    }
  })
}

type ReadResponse = Pick<Rollout, 'text' | 'tokens' | 'finish'> & { readonly parsed: ParsedAnswer }
type Scored = Pick<
  Rollout,
  'candidateJoint' | 'candidateMean' | 'candidateJointWithout' | 'targetMeanWith' | 'targetMeanWithout'
>

function readGroup(context: PhaseContext, { ask, responses }: AskedGroup): ReadResponse[] {
  return responses.map((response) => ({
    text: response.text,
    parsed: context.method.parse(context.dataset, ask.instance, response.text),
    tokens: response.written,
    finish: finishOf(response),
  }))
}

function finishOf({ sample, closed }: Response): Rollout['finish'] {
  if (closed) return 'complete'
  return sample.finishes[0] === 'length' ? 'length' : 'unclosed'
}

/**
 * One forward per scorer over all groups; rollouts that fail the form are not scored. The frozen scorer
 * scores the true title alone, unless the posterior among all candidates is asked for.
 */
async function scoreGroups(
  context: PhaseContext,
  setting: RolloutSetting,
  groups: readonly AskedGroup[],
  read: readonly (readonly ReadResponse[])[],
): Promise<Scored[][]> {
  const { needs } = setting.reward
  const { scorer, gain_kind } = context.config.rl.reward
  const prefixes = groups.map((group, index) =>
    group.responses.map((response, sample) => answerPrefix(context, response, read[index]![sample]!)),
  )
  const all = (instance: Instance): Int32Array[] => context.encoding.choices(instance)
  const judged = gain_kind === 'post' ? all : (instance: Instance) => [context.encoding.rightChoice(instance)]
  const byReference = needs.has('gain') && scorer === 'ref'
  const { model, adapters } = setting.policy
  const policy = !scoredByPolicy(context, setting)
    ? null
    : context.config.rl.answer === 'constrained'
      ? sampledScores(groups, prefixes)
      : await scorePrefixes(context, model, adapters, groups, prefixes, all)
  const reference = byReference
    ? await scorePrefixes(context, model, setting.reference, groups, prefixes, judged)
    : null
  const without = needs.has('gain')
    ? await scoreDirect(context, model, setting.reference, groups, judged)
    : null
  return groups.map(({ ask: { instance } }, index) => {
    const among = context.method.rightChoice(context.dataset, instance)
    const alone = gain_kind === 'post' ? among : 0
    return prefixes[index]!.map((_, sample) => {
      const own = policy?.[index]?.[sample]
      const frozen = reference?.[index]?.[sample]
      return {
        candidateJoint: (gain_kind === 'post' && frozen ? frozen : own)?.joint ?? null,
        candidateMean: own?.mean ?? null,
        candidateJointWithout: without?.[index]?.joint ?? null,
        targetMeanWith: (byReference ? frozen?.mean[alone] : own?.mean[among]) ?? null,
        targetMeanWithout: without?.[index]?.mean[alone] ?? null,
      }
    })
  })
}

function scoredByPolicy({ config }: PhaseContext, { reward: { needs } }: RolloutSetting): boolean {
  return needs.has('candidate_scores') || (needs.has('gain') && config.rl.reward.scorer === 'policy')
}

/** Constrained rollouts were scored where they chose. */
function sampledScores(
  groups: readonly AskedGroup[],
  prefixes: readonly (readonly (Int32Array | null)[])[],
): (ChoiceScores | null)[][] {
  return groups.map(({ responses }, index) =>
    responses.map(({ sample }, place) =>
      prefixes[index]![place] === null ? null : { joint: sample.candidateJoint, mean: sample.candidateMean },
    ),
  )
}

/** All tokens between the prompt and what the answer says, or null where there is no well-formed reasoning. */
function answerPrefix(
  context: PhaseContext,
  response: Response,
  { parsed, finish }: ReadResponse,
): Int32Array | null {
  if (finish !== 'complete' || parsed.reasoning === null || !isAnswered(parsed)) return null
  if (response.choiceBegin >= 0) return response.sample.tokens.subarray(0, response.choiceBegin)
  return context.encoding.beforeAnswer(untrustedPassage(parsed.reasoning))
}

async function scorePrefixes(
  context: PhaseContext,
  model: Model,
  adapters: Adapters,
  groups: readonly AskedGroup[],
  prefixes: readonly (readonly (Int32Array | null)[])[],
  choices: (instance: Instance) => Int32Array[],
): Promise<(ChoiceScores | null)[][]> {
  const open = prefixes.map((own) => own.filter((prefix): prefix is Int32Array => prefix !== null))
  const asked = groups.map((_, index) => index).filter((index) => open[index]!.length > 0)
  const requests = asked.map((index) => ({
    prompt: groups[index]!.prompt,
    prefixes: open[index]!,
    choices: choices(groups[index]!.ask.instance),
  }))
  const scores = await scoreChoices(context, model, adapters, requests)
  const byGroup = new Map(asked.map((group, request) => [group, scores[request]!]))
  return prefixes.map((own, index) => {
    let next = 0
    return own.map((prefix) => (prefix === null ? null : (byGroup.get(index)?.[next++] ?? null)))
  })
}

async function scoreDirect(
  context: PhaseContext,
  model: Model,
  reference: Adapters,
  groups: readonly AskedGroup[],
  choices: (instance: Instance) => Int32Array[],
): Promise<ChoiceScores[]> {
  const requests = groups.map(({ ask: { instance } }) => ({
    prompt: context.encoding.prompt(instance, 'direct'),
    prefixes: [context.encoding.frame.directOpen],
    choices: choices(instance),
  }))
  return (await scoreChoices(context, model, reference, requests)).map((scores) => scores[0]!)
}
