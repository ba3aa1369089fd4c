/** The methods by name: how each is made from a configuration, its steps, its presets. */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readStated } from '../config/describe.js'
import type { Config } from '../config/schema.js'
import type { Dataset, Instance } from '../data/types.js'
import { ReasonrecError } from '../engine/errors.js'
import type { MethodSteps } from '../phases/pipeline.js'
import type { ModelContext } from '../phases/run/context.js'
import { askedInstances } from '../phases/run/instances.js'
import type { ComposedReward } from '../rewards/composition.js'
import type { OwnTerm } from '../rewards/weights.js'
import type { TeacherPlan } from '../teacher/openai/plan.js'
import { type Ablation, readAblations } from './ablation.js'
import type { Method } from './method.js'
import { type R2Rec, r2rec, r2recPreset, presetNames as r2recPresets } from './r2rec/index.js'
import { InteractionChains } from './r2rec/interaction-chains.js'
import { r2recReward, reinforcementLearning } from './r2rec/reinforcement-learning.js'
import { supervisedFineTuning } from './r2rec/supervised-fine-tuning.js'
import { r2recTeacherPlan } from './r2rec/teacher-plan.js'
import { traceCollection } from './r2rec/trace-collection.js'
import { re2, re2Preset, presetNames as re2Presets } from './re2/index.js'
import { patternImitation } from './re2/pattern-imitation.js'
import { patternInternalization, re2Reward } from './re2/pattern-internalization.js'
import { reasoningCollection } from './re2/reasoning-collection.js'
import { re2TeacherPlan } from './re2/teacher-plan.js'

type PlanContext = Pick<ModelContext, 'config' | 'dataset' | 'method'>

interface Paper {
  readonly method: (config: Config) => Method
  readonly steps: MethodSteps
  readonly reward: (config: Config, own: readonly OwnTerm[]) => ComposedReward
  readonly teacherPlan: (context: PlanContext, instances: readonly Instance[]) => TeacherPlan
  readonly presets: Readonly<Record<string, URL>>
  readonly ablations: URL
  /** What the paper says about keys of the configuration. */
  readonly stated: URL
}

const papers: Readonly<Record<Config['method'], Paper>> = {
  re2: {
    method: re2Of,
    steps: { collect: reasoningCollection, imitate: patternImitation, internalize: patternInternalization },
    reward: re2Reward,
    teacherPlan: re2TeacherPlan,
    presets: Object.fromEntries(re2Presets.map((name) => [name, re2Preset(name)])),
    ablations: new URL('./re2/ablations.yaml', import.meta.url),
    stated: new URL('./re2/stated.yaml', import.meta.url),
  },
  r2rec: {
    method: r2recOf,
    steps: { collect: traceCollection, imitate: supervisedFineTuning, internalize: reinforcementLearning },
    reward: r2recReward,
    teacherPlan: r2recTeacherPlan,
    presets: Object.fromEntries(r2recPresets.map((name) => [name, r2recPreset(name)])),
    ablations: new URL('./r2rec/ablations.yaml', import.meta.url),
    stated: new URL('./r2rec/stated.yaml', import.meta.url),
  },
}

export function methodSteps(config: Config): MethodSteps {
  return papers[config.method].steps
}

/** The reward of the configuration's method. @throws RR_CONFIG_REWARD, RR_CONFIG_JUDGE where it cannot be made */
export function methodReward(config: Config, own: readonly OwnTerm[]): ComposedReward {
  return papers[config.method].reward(config, own)
}

/** What Collection would ask of a teacher behind a server, whichever teacher the configuration names. */
export function collectionPlan(config: Config, dataset: Dataset): TeacherPlan {
  const context = { config, dataset, method: methodOf(config) }
  return papers[config.method].teacherPlan(context, askedInstances(context))
}

/** The grid of ablations of the configuration's method. */
export function ablationsOf(config: Config): Ablation[] {
  return readAblations(papers[config.method].ablations)
}

/** What the paper of the configuration's method says about keys. */
export function statedOf(config: Config): Readonly<Record<string, string>> {
  return readStated(papers[config.method].stated)
}

export function methodOf(config: Config): Method {
  return papers[config.method].method(config)
}

function re2Of({ collect, prompt }: Config): Method {
  return re2({
    maxWords: prompt.max_words,
    ...(prompt.wording !== 'auto' && { wording: prompt.wording }),
    requiredGates: collect.gates,
    gates: {
      ...(collect.min_words !== null && { minWords: collect.min_words }),
      ...(collect.max_words !== null && { maxWords: collect.max_words }),
      maxRepeat: collect.max_repeat,
      minAscii: collect.min_ascii,
      keepMisses: collect.keep_misses,
    },
  })
}

export function r2recOf({ r2rec: own, graph, prompt, seed }: Config): R2Rec {
  return r2rec({
    wording: prompt.wording === 'compact' ? 'compact' : 'standard',
    labels: own.labels,
    stepWords: own.step_words,
    chains: own.chains,
    source: (dataset) => new InteractionChains(dataset, graph, seed),
    ratingPrompts: own.rating_prompts,
    seed,
    rankingShare: own.ranking_share,
    requiredGates: own.gates,
  })
}

/** Published ways to split, draw and rank, for `baseline` and for models alike, and campaigns of a method on them. */
const protocols = Object.fromEntries(
  ['sasrec-ml1m', 'sasrec-ml1m-full', 'lastfm-llara', 'lastfm-llara-re2', 'lastfm-llara-r2rec'].map(
    (name) => [name, new URL(`./protocols/${name}.yaml`, import.meta.url)],
  ),
)

const presets: Readonly<Record<string, URL>> = {
  ...Object.assign({}, ...Object.values(papers).map((paper) => paper.presets)),
  ...protocols,
}

export const presetNames: readonly string[] = Object.keys(presets)

/** The YAML file of a preset. Throws RR_USAGE_PRESET for an unknown name. */
export function presetFile(name: string): string {
  const known = Object.hasOwn(presets, name) ? presets[name] : undefined
  const file = known && fileURLToPath(known)
  if (file && existsSync(file)) return file
  throw new ReasonrecError('RR_USAGE_PRESET', `there is no preset ${name}`, {
    expected: presetNames.join(', '),
    remedy: 'choose one of them, or give a file with --config',
  })
}
