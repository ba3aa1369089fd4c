/** The engine as the rest of the library sees it. */

export { Adapter, type LoraConfig } from './adapter.js'
export { DecodeSession, type SessionOptions, type SessionRequest } from './decode-session.js'
export {
  type Adapters,
  type Beam,
  createTrie,
  type DecodeGroup,
  type DecodeOptions,
  generate,
  type Sample,
  type Sampling,
  type ScriptStep,
  sequenceLogprobs,
  type TokenIds,
  type Trie,
} from './decoder.js'
export { type ErrorDetails, exitStatus, fromNative, ReasonrecError } from './errors.js'
export { ggufModelConfig, isGgufPath, readGguf, requireNoGguf } from './gguf.js'
export {
  type Chain,
  type ChainOptions,
  type ChainQuery,
  type ChainsOfQuery,
  chainAt,
  InteractionGraph,
  type NativeChains,
  type OwnEdge,
  queryColumns,
} from './graph.js'
export type { JobOptions, JobProgress } from './job.js'
export {
  cudaInfo,
  engineInfo,
  inspectSafetensors,
  loadAddon,
  machineCeilings,
  philox,
  runKernel,
  setThreads,
} from './load.js'
export { heldWeights } from './memory.js'
export {
  type MemoryPeak,
  type MemoryPhase,
  type MemoryPlan,
  type MemoryQuestion,
  planMemory,
} from './memory-plan.js'
export { Model, type ModelOptions, modelTensors, readModelConfig, weightFiles } from './model.js'
export { parseModelConfig, supportedFamilies } from './model-config.js'
export { type ExpectedTensor, expectedTensors, isHarmless } from './model-tensors.js'
export { linearNames, repeatsARepetition } from './module-patterns.js'
export type {
  Finish,
  LinearName,
  NativeCeilings,
  NativeKernelCall,
  NativeKernelRun,
  NativeLoraConfig,
  NativeLoraModule,
  NativeModelConfig,
  NativeParameter,
  NativeSequenceLogprobs,
  NativeTensorFacts,
  NativeWeightType,
} from './native.js'
export { peftConfig, readAdapterConfig } from './peft-config.js'
export {
  type AdvantageEstimator,
  type AdvantageOptions,
  advantages,
  aggregationWeights,
  type PolicyCompletion,
  type PolicyGroup,
  type PolicyLossConfig,
  type PolicyOptions,
  type PolicyResult,
  policyLoss,
  selectTokens,
  type TokenSelection,
  tokenAdvantages,
} from './policy-trainer.js'
export { type ItemLists, Sasrec, type SasrecShape, type SasrecStep } from './sasrec.js'
export {
  type AdapterTrainerOptions,
  type OptimiserStep,
  type SftOptions,
  type SftResult,
  type SftSequence,
  Trainer,
  type TrainerOptions,
} from './trainer.js'
