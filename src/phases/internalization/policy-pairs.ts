/**
 * Preferences from rollouts (spec 5.8, 5.9). A group of the engine is a winner and its losers.
 *   arms     the best rollout of a prompt against its worst (sdpo: its worst few), where the rewards differ by
 *            rl.preference.reward_margin and the lengths by no more than rl.preference.length_tolerance
 *   simpo    for a prompt without a hit, after each well-formed reasoning: the right answer against the chosen one
 */

import type { PolicyCompletion, PolicyGroup } from '../../engine/index.js'
import { joined } from '../../prompts/tokenizer.js'
import type { PhaseContext } from '../run/context.js'
import { chosenTokens } from './policy-credit.js'
import type { RolloutGroup } from './rollouts.js'

/** Places of the winner and of its losers, the worst first; null where no pair passes. */
export function preferredRollouts(
  context: PhaseContext,
  { rewards: { rewards, valid }, asked: { responses } }: RolloutGroup,
  usable: readonly boolean[],
): { readonly winner: number; readonly losers: readonly number[] } | null {
  const { arm, preference } = context.config.rl
  const places = usable.flatMap((one, place) => (one && valid[place] === 1 ? [place] : []))
  const byReward = places.sort((a, b) => rewards[a]! - rewards[b]! || b - a)
  const winner = byReward.at(-1)
  if (winner === undefined) return null
  const length = (place: number): number => chosenTokens(responses[place]!)
  const losers = byReward.filter((place) => {
    const [a, b] = [length(winner), length(place)]
    const differs = rewards[winner]! - rewards[place]! >= preference.reward_margin
    return place !== winner && differs && Math.abs(a - b) <= preference.length_tolerance * Math.max(a, b)
  })
  if (losers.length === 0) return null
  return { winner, losers: losers.slice(0, arm === 'sdpo' ? preference.negatives : 1) }
}

/** Pairs of a prompt without a hit, each behind its own reasoning; full-vocabulary log-probs, answers only. */
export function answerPairs(
  context: PhaseContext,
  { asked, rollouts, instance }: RolloutGroup,
): PolicyGroup[] {
  const right = context.encoding.rightChoice(instance)
  return asked.responses.flatMap(({ sample, choiceBegin }, place) => {
    const { finish, parsed } = rollouts[place]!
    if (finish !== 'complete' || parsed.reasoning === null || choiceBegin < 0) return []
    const end = sample.kinds.lastIndexOf(2) + 1
    const prompt = joined([asked.prompt, sample.tokens.subarray(0, choiceBegin)])
    return [{ prompt, completions: [right, sample.tokens.subarray(choiceBegin, end)].map(comparedAnswer) }]
  })
}

export function comparedAnswer(ids: Int32Array): PolicyCompletion {
  return {
    ids,
    mask: new Uint8Array(ids.length).fill(1),
    oldLogprobs: new Float32Array(ids.length),
    advantage: 0,
  }
}
