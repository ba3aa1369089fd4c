/**
 * What reward terms need beside the text (RewardNeed), only what some term asks for:
 *   policy   every choice behind each well-formed reasoning; in constrained rollouts it was scored where it was made
 *   frozen   the model of Imitation, all its questions in one job: choices behind the reasoning (rl.reward.scorer: ref),
 *            choices behind the direct prompt, and the rollouts' own answers where the history is left out
 *   beam     the catalogue, searched by the policy behind each well-formed reasoning
 * The true title is scored alone unless the posterior among all candidates is asked for.
 */

import type { Instance, ItemIndex } from '../../data/types.js'
import type { Adapters, Model } from '../../engine/index.js'
import type { ParsedAnswer } from '../../methods/method.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import type { ComposedReward } from '../../rewards/composition.js'
import { judgeQuestion } from '../../rewards/judge.js'
import { isAnswered, type RewardNeed, type Rollout } from '../../rewards/reward.js'
import { searchCatalogue } from '../prediction/catalogue-beam.js'
import {
  type AskedGroup,
  type ChoiceScores,
  choiceScores,
  type Response,
  type ScoreRequest,
  scoreChoices,
} from '../prediction/responses.js'
import type { ModelContext, StageModel } from '../run/context.js'

export type ReadResponse = Pick<Rollout, 'text' | 'tokens' | 'finish'> & { readonly parsed: ParsedAnswer }
export type RolloutScores = Omit<Rollout, keyof ReadResponse>

export interface Scorers {
  readonly policy: StageModel
  /** The frozen model of Imitation. */
  readonly reference: Adapters
  readonly reward: ComposedReward
}

/** Ids between prompt and answer, per group and rollout; null where there is no well-formed reasoning. */
type Prefixes = readonly (readonly (Int32Array | null)[])[]
/** Per group and rollout. */
type Scored = (ChoiceScores | null)[][]

export async function scoreRollouts(
  context: ModelContext,
  scorers: Scorers,
  groups: readonly AskedGroup[],
  read: readonly (readonly ReadResponse[])[],
): Promise<RolloutScores[][]> {
  const prefixes = groups.map(({ responses }, index) =>
    responses.map((response, sample) => answerPrefix(context, response, read[index]![sample]!)),
  )
  const policy = await byPolicy(context, scorers, groups, prefixes)
  const frozen = await byFrozen(context, scorers, groups, prefixes, read)
  const found = await byBeam(context, scorers, groups, prefixes)
  const judged = await byJudge(context, scorers.reward, groups, read)
  const { needs } = scorers.reward
  const scorerIsPolicy = context.config.rl.reward.scorer === 'policy'
  return groups.map(({ ask: { instance } }, index) => {
    const among = context.method.rightChoice(context.dataset, instance)
    const asked = rightAmong(context, needs, instance)
    return prefixes[index]!.map((_, sample): RolloutScores => {
      const own = policy?.[index]?.[sample]
      const scorer = frozen.behind?.[index]?.[sample]
      const [by, place] = scorerIsPolicy ? [own, among] : [scorer, asked]
      const without = frozen.direct?.[index]
      const blind = frozen.blind?.[index]?.[sample]
      return {
        candidateJoint: own?.joint ?? null,
        candidateMean: own?.mean ?? null,
        ...(scorer && needs.has('post') && { scorerJoint: scorer.joint }),
        candidateJointWithout: needs.has('post') || needs.has('rerank') ? (without?.joint ?? null) : null,
        targetMeanWith: by?.mean[place] ?? null,
        targetMeanWithout: without?.mean[asked] ?? null,
        targetProbWith: by?.prob[place] ?? null,
        targetProbWithout: without?.prob[asked] ?? null,
        targetJoint: own?.joint[among] ?? null,
        blindJointWith: blind?.with ?? null,
        blindJointWithout: blind?.without ?? null,
        beam: found?.[index]?.[sample] ?? null,
        judged: judged?.[index]?.[sample] ?? null,
      }
    })
  })
}

/** Is the policy asked for its scores of the choices? Constrained rollouts then score them as they choose. */
export function scoredByPolicy({ config }: Pick<ModelContext, 'config'>, { needs }: ComposedReward): boolean {
  const rationality = needs.has('gain') || needs.has('post') || needs.has('likelihood')
  return (
    needs.has('candidate_scores') ||
    needs.has('rerank') ||
    needs.has('target') ||
    (rationality && config.rl.reward.scorer === 'policy')
  )
}

async function byPolicy(
  context: ModelContext,
  { policy: { model, adapters }, reward }: Scorers,
  groups: readonly AskedGroup[],
  prefixes: Prefixes,
): Promise<Scored | null> {
  if (!scoredByPolicy(context, reward)) return null
  if (context.config.rl.answer === 'constrained')
    return groups.map(({ responses }, index) =>
      responses.map(({ sample }, place) => (prefixes[index]![place] === null ? null : choiceScores(sample))),
    )
  const questions = behindReasoning(groups, prefixes, ({ ask }) => context.encoding.choices(ask.instance))
  return answered(prefixes, questions, await scored(context, model, adapters, questions.requests))
}

interface FrozenScores {
  readonly behind: Scored | null
  readonly direct: readonly ChoiceScores[] | null
  readonly blind: readonly (readonly (BlindScore | null)[])[] | null
}

/** Sums of the rollout's own answer where the history is left out. */
interface BlindScore {
  readonly with: number
  readonly without: number
}

/** One job for all the questions to the frozen model. */
async function byFrozen(
  context: ModelContext,
  { policy: { model }, reference, reward: { needs } }: Scorers,
  groups: readonly AskedGroup[],
  prefixes: Prefixes,
  read: readonly (readonly ReadResponse[])[],
): Promise<FrozenScores> {
  const rationality = needs.has('gain') || needs.has('post') || needs.has('likelihood')
  const choices = ({ ask: { instance } }: AskedGroup): Int32Array[] => askedOfFrozen(context, needs, instance)
  const behind =
    rationality && context.config.rl.reward.scorer === 'ref'
      ? behindReasoning(groups, prefixes, choices)
      : null
  const direct =
    needs.has('gain') || needs.has('post') || needs.has('rerank')
      ? groups.map((group) => directQuestion(context, group.ask.instance, choices(group)))
      : null
  const blind = needs.has('sufficiency') ? blindQuestions(context, groups, prefixes, read) : null
  const scores = await scored(context, model, reference, [
    ...(behind?.requests ?? []),
    ...(direct ?? []),
    ...(blind?.requests ?? []),
  ])
  const afterBehind = behind?.requests.length ?? 0
  const afterDirect = afterBehind + (direct?.length ?? 0)
  return {
    behind: behind && answered(prefixes, behind, scores.slice(0, afterBehind)),
    direct: direct && scores.slice(afterBehind, afterDirect).map((own) => own[0]!),
    blind: blind?.read(scores.slice(afterDirect)) ?? null,
  }
}

async function scored(
  context: ModelContext,
  model: Model,
  adapters: Adapters,
  requests: readonly ScoreRequest[],
): Promise<ChoiceScores[][]> {
  return requests.length === 0 ? [] : scoreChoices(context, model, adapters, requests)
}

/** The right one alone, or all where they are compared. */
function askedOfFrozen(
  { encoding }: ModelContext,
  needs: ReadonlySet<RewardNeed>,
  instance: Instance,
): Int32Array[] {
  return comparesAll(needs) ? encoding.choices(instance) : [encoding.rightChoice(instance)]
}

function rightAmong(context: ModelContext, needs: ReadonlySet<RewardNeed>, instance: Instance): number {
  return comparesAll(needs) ? context.method.rightChoice(context.dataset, instance) : 0
}

function comparesAll(needs: ReadonlySet<RewardNeed>): boolean {
  return needs.has('post') || needs.has('rerank')
}

/** All tokens between the prompt and what the answer says, or null where there is no well-formed reasoning. */
function answerPrefix(
  context: ModelContext,
  response: Response,
  { parsed, finish }: ReadResponse,
): Int32Array | null {
  if (finish !== 'complete' || parsed.reasoning === null || !isAnswered(parsed)) return null
  if (response.choiceBegin >= 0) return response.sample.tokens.subarray(0, response.choiceBegin)
  return context.encoding.beforeAnswer(untrustedPassage(parsed.reasoning))
}

/** Questions about the groups that have a well-formed reasoning. */
interface Questions {
  readonly requests: readonly ScoreRequest[]
  /** Of each request. */
  readonly groups: readonly number[]
}

function behindReasoning(
  groups: readonly AskedGroup[],
  prefixes: Prefixes,
  choices: (group: AskedGroup) => readonly Int32Array[],
): Questions {
  const open = prefixes.map((own) => own.filter((prefix): prefix is Int32Array => prefix !== null))
  const asked = groups.map((_, index) => index).filter((index) => open[index]!.length > 0)
  const requests = asked.map((index) => ({
    prompt: groups[index]!.prompt,
    prefixes: open[index]!,
    choices: choices(groups[index]!),
  }))
  return { requests, groups: asked }
}

/** Scores by group and rollout again. */
function answered(
  prefixes: Prefixes,
  { groups }: Questions,
  scores: readonly (readonly ChoiceScores[])[],
): Scored {
  const byGroup = new Map(groups.map((group, request) => [group, scores[request]!]))
  return prefixes.map((own, index) => {
    let next = 0
    return own.map((prefix) => (prefix === null ? null : (byGroup.get(index)?.[next++] ?? null)))
  })
}

function directQuestion(
  { encoding }: ModelContext,
  instance: Instance,
  choices: readonly Int32Array[],
): ScoreRequest {
  return { prompt: encoding.prompt(instance, 'direct'), prefixes: [encoding.frame.directOpen], choices }
}

/** Two requests per group: the answers its rollouts gave, behind each reasoning and without one, the history left out. */
function blindQuestions(
  context: ModelContext,
  groups: readonly AskedGroup[],
  prefixes: Prefixes,
  read: readonly (readonly ReadResponse[])[],
) {
  const { encoding } = context
  const given = groups.map(({ ask: { instance } }, index) => {
    const own = read[index]!.map(({ parsed: { item } }, sample) =>
      item === null || prefixes[index]![sample] === null ? -1 : instance.candidates.indexOf(item),
    )
    return { own, distinct: [...new Set(own)].filter((place) => place >= 0) }
  })
  const asked = groups.map((_, index) => index).filter((index) => given[index]!.distinct.length > 0)
  const requests = asked.flatMap((index): ScoreRequest[] => {
    const instance = withoutHistory(groups[index]!.ask.instance)
    const all = encoding.choices(instance)
    const choices = given[index]!.distinct.map((place) => all[place]!)
    const open = prefixes[index]!.filter((prefix): prefix is Int32Array => prefix !== null)
    return [
      { prompt: encoding.prompt(instance, 'reason'), prefixes: open, choices },
      directQuestion(context, instance, choices),
    ]
  })
  const byRollout = (scores: readonly (readonly ChoiceScores[])[]): (BlindScore | null)[][] =>
    groups.map((_, index) => {
      const place = asked.indexOf(index)
      const { own, distinct } = given[index]!
      let next = 0
      return prefixes[index]!.map((prefix, sample) => {
        if (prefix === null || place < 0) return null
        const behind = scores[2 * place]![next++]!
        const answer = distinct.indexOf(own[sample]!)
        if (answer < 0) return null
        return { with: behind.joint[answer]!, without: scores[2 * place + 1]![0]!.joint[answer]! }
      })
    })
  return { requests, read: byRollout }
}

/** The same question about somebody of whom nothing is known. */
function withoutHistory({ evidence: _, ...instance }: Instance): Instance {
  return { ...instance, history: [] }
}

/** Titles of the catalogue, behind every well-formed reasoning. */
async function byBeam(
  context: ModelContext,
  { policy, reward: { needs } }: Scorers,
  groups: readonly AskedGroup[],
  prefixes: Prefixes,
): Promise<(readonly ItemIndex[] | null)[][] | null> {
  if (!needs.has('beam')) return null
  const { requests, groups: asked } = behindReasoning(groups, prefixes, () => [])
  const searched = requests.map(({ prompt, prefixes: open }, request) => ({
    prompt,
    prefixes: open,
    excluded: groups[asked[request]!]!.ask.instance.history,
  }))
  const width = context.config.rl.reward.beam_width
  const found = searched.length === 0 ? [] : await searchCatalogue(context, policy, searched, { width })
  const byGroup = new Map(asked.map((group, request) => [group, found[request]!]))
  return prefixes.map((own, index) => {
    let next = 0
    return own.map((prefix) => (prefix === null ? null : (byGroup.get(index)?.[next++]?.items ?? null)))
  })
}

async function byJudge(
  { dataset }: ModelContext,
  { needs, judge }: ComposedReward,
  groups: readonly AskedGroup[],
  read: readonly (readonly ReadResponse[])[],
): Promise<(number | null)[][] | null> {
  if (!needs.has('judge') || judge === null) return null
  const questions = groups.map(({ ask: { instance } }, index) =>
    read[index]!.map((one) => judgeQuestion(one, { dataset, instance })),
  )
  const asked = questions.flat().filter((question) => question !== null)
  const scores = await judge.scores(asked)
  let next = 0
  return questions.map((own) => own.map((question) => (question === null ? null : (scores[next++] ?? null))))
}
