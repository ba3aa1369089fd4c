/**
 * The library face. Training, phase by phase (methods/training-run.ts):
 *
 *   const run = await startRun({ preset: 're2', model: DIR, data: DIR, out: 'runs/first' })
 *   await collect(run)
 *   await imitate(run)
 *   await internalize(run)
 *   const { table } = await evaluate(run)
 *   run.run.close()
 *
 * Using what came out (methods/recommender.ts):
 *
 *   const model = await loadModel({ model: DIR, adapter: 'runs/first/adapter' })
 *   const { reasoning, ranking } = await model.recommend({ history: ['A', 'B'], candidates: ['X', 'Y', 'Z'] })
 *
 * The engine alone (decoding, scoring, training) is `reasonrec/engine`.
 */

export {
  type ConfigSources,
  configHash,
  configYaml,
  type LoadedConfig,
  loadConfig,
  readStoredConfig,
} from './config/load.js'
export { type Config, type ConfigKey, configKeys, configSchema } from './config/schema.js'
export { type LoadOptions, loadDataset } from './data/load.js'
export type { Dataset, Instance, Interaction, Item, ItemIndex } from './data/types.js'
export * from './engine/index.js'
export type { InferenceMode, RankingMeans, ResultRow, RowId } from './eval/result-row.js'
export type { GateResult, Method, ParsedAnswer, PromptMode, Trace } from './methods/method.js'
export {
  loadModel,
  type RankedItem,
  type Recommendation,
  type RecommendationRequest,
  type Recommender,
  type RecommenderOptions,
} from './methods/recommender.js'
export { methodOf, methodSteps, presetFile, presetNames } from './methods/registry.js'
export { createRun, openDataset, openModel, openRun, type Watcher } from './methods/session.js'
export {
  collect,
  evaluate,
  imitate,
  internalize,
  type RunOptions,
  startRun,
} from './methods/training-run.js'
export { allPhases, baselinePhases, type MethodSteps, runStages } from './phases/pipeline.js'
export { type ModelMode, type Prediction, predict, ranking } from './phases/prediction/predictions.js'
export type { ModelContext, PhaseContext, StageModel } from './phases/run/context.js'
export { Interrupted, watchInterrupts } from './phases/run/interrupt.js'
export { type ProgressSink, silentProgress } from './phases/run/progress.js'
export { RunDirectory } from './phases/run/run-directory.js'
export type { CollectSummary, MetricsLine, Phase, RunSummary, SampleLine } from './phases/run/run-record.js'
export { baseStage, imitatedStage, internalizedStage } from './phases/run/stage-models.js'
export { Tokenizer } from './prompts/tokenizer.js'
export { type UntrustedText, untrusted, untrustedPassage } from './prompts/untrusted-text.js'
export { terminalProgress } from './report/progress.js'
export { type WrittenReport, writeReport } from './report/write-report.js'
export type { Judge, JudgeQuestion } from './rewards/judge.js'
export { judgeKey } from './rewards/judge.js'
export type { RewardContext, RewardNeed, Rollout } from './rewards/reward.js'
export { registerReward, type UserReward, type UserRewardContext } from './rewards/user-reward.js'
