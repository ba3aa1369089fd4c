/**
 * The typed contract of the .node file: what native/binding exports, and nothing else.
 * Long jobs return promises and take `control`, an Int32Array over a SharedArrayBuffer:
 * [0] set to 1 to cancel, [1] units done, [2] units in all, [3] tokens done (native/core/job.h).
 * Jobs run one after another in the order of their calls. Arrays handed to a job are read before the
 * call returns. Calls that answer at once throw RR_BUSY where they would meet a job that uses the object.
 * Errors are JS errors with `code`, `expected`, `got`, `remedy` (see errors.ts).
 */

import type { Control } from './native/control.js'
import type {
  NativeAdapters,
  NativeDecodeOptions,
  NativeGroup,
  NativeSample,
  NativeSampling,
  NativeScriptStep,
  NativeSequenceLogprobs,
  NativeSession,
  NativeTrie,
} from './native/decode.js'
import type {
  NativeChainOptions,
  NativeChainQueries,
  NativeChains,
  NativeEdges,
  NativeGraph,
} from './native/graph.js'
import type { NativeCeilings, NativeKernelCall, NativeKernelRun } from './native/kernels.js'
import type {
  NativeAdapter,
  NativeGguf,
  NativeLoraConfig,
  NativeModel,
  NativeModelConfig,
  NativeTensorFacts,
  NativeWeightType,
} from './native/model.js'
import type {
  NativeAdvantageEstimator,
  NativePolicyLossConfig,
  NativePolicySums,
  NativePolicyTokens,
  NativeRewardBatch,
  NativeTokenSelection,
} from './native/policy.js'
import type { NativeSasrec, NativeSasrecShape } from './native/sasrec.js'
import type { NativeTrainer } from './native/training.js'

export type * from './native/control.js'
export type * from './native/decode.js'
export type * from './native/graph.js'
export type * from './native/kernels.js'
export type * from './native/model.js'
export type * from './native/policy.js'
export type * from './native/sasrec.js'
export type * from './native/training.js'

export interface NativeAddon {
  info(): {
    readonly version: string
    readonly isa: string
    /** Columns per panel of a packed matrix. */
    readonly panel: number
    readonly isas: string[]
    readonly threads: number
  }
  /** The CUDA library (empty build: not loaded) and the first GPU; reason: what is missing, or empty. */
  cudaInfo(): {
    readonly build: string
    readonly path: string
    readonly devices: number
    readonly device: string
    /** Bytes. */
    readonly memory: number
    readonly reason: string
  }
  /** Threads of the one pool that all jobs share, from the next job on. */
  setThreads(threads: number): Promise<void>
  /** files: all safetensors of a folder, or one GGUF file. */
  loadModel(
    config: NativeModelConfig,
    files: readonly string[],
    dtype: NativeWeightType,
    control: Control,
  ): Promise<NativeModel>
  randomModel(
    config: NativeModelConfig,
    seed: bigint,
    deviation: number,
    dtype: NativeWeightType,
  ): Promise<NativeModel>
  createAdapter(model: NativeModel, config: NativeLoraConfig, seed: bigint): Promise<NativeAdapter>
  /** Tensors by PEFT name from safetensors; throws RR_MISSING_TENSOR, RR_UNEXPECTED_TENSOR, RR_SHAPE_MISMATCH. */
  loadAdapter(model: NativeModel, config: NativeLoraConfig, file: string): Promise<NativeAdapter>
  cloneAdapter(adapter: NativeAdapter): Promise<NativeAdapter>
  concatenateAdapters(model: NativeModel, first: NativeAdapter, second: NativeAdapter): Promise<NativeAdapter>
  createTrie(sequences: readonly Int32Array[]): NativeTrie
  generate(
    model: NativeModel,
    adapters: NativeAdapters,
    groups: readonly NativeGroup[],
    script: readonly NativeScriptStep[],
    options: NativeDecodeOptions,
    control: Control,
  ): Promise<NativeSample[][]>
  openSession(
    model: NativeModel,
    adapters: NativeAdapters,
    options: Omit<NativeDecodeOptions, 'seed'>,
  ): NativeSession
  sequenceLogprobs(
    model: NativeModel,
    adapters: NativeAdapters,
    sequences: readonly Int32Array[],
    logits: boolean,
    control: Control,
  ): Promise<NativeSequenceLogprobs>
  /** adapter null: full-parameter mode. */
  createTrainer(
    model: NativeModel,
    frozen: NativeAdapter | null,
    adapter: NativeAdapter | null,
    options: { readonly tokenBudget: number; readonly recompute: boolean; readonly sharePrefix: boolean },
  ): Promise<NativeTrainer>
  advantages(
    estimator: NativeAdvantageEstimator,
    batch: NativeRewardBatch,
    options: { readonly epsilon: number; readonly passK: number; readonly passStd: boolean },
  ): Float64Array
  /** rf++ per token; `penalties`: one per token, or none. */
  tokenAdvantages(batch: NativeRewardBatch, penalties: Float64Array, discount: number): Float64Array
  aggregationWeights(
    aggregation: NativePolicyLossConfig['aggregation'],
    lengths: Int32Array,
    maxLength: number,
  ): Float64Array
  /** The loss over given log-probs, for checks and plots: sums and d loss / d logprob. */
  policyLoss(
    config: NativePolicyLossConfig,
    tokens: NativePolicyTokens,
  ): { readonly sums: NativePolicySums; readonly gradient: Float32Array }
  /** Treatment of every token of a mini-batch (native/rl/token_selection.h), from the sampling policy's numbers. */
  selectTokens(
    selection: NativeTokenSelection,
    logprobs: Float32Array,
    advantages: Float32Array,
    entropies: Float32Array,
  ): Uint8Array
  /**
   * The distribution a token is drawn from: repetition penalty over `context`, temperature, top-k,
   * top-p, min-p, softmax (native/decode/sampler.h). logits, result: (vocab); filtered-out tokens 0.
   */
  samplingDistribution(logits: Float32Array, context: Int32Array, sampling: NativeSampling): Float64Array
  createSasrec(shape: NativeSasrecShape, seed: bigint): Promise<NativeSasrec>
  /** Uniforms in (0, 1) of Philox4x32-10 for indices [first, first + count). */
  philox(seed: bigint, stream: bigint, first: bigint, count: number): Float64Array
  /** Tensor names, dtypes and shapes of a safetensors file. */
  /** On the calling thread: some 0.2 s for a million edges. */
  createGraph(users: number, items: number, edges: NativeEdges): NativeGraph
  sampleChains(
    graph: NativeGraph,
    queries: NativeChainQueries,
    options: NativeChainOptions,
    control: Control,
  ): Promise<NativeChains>
  /** The same on the calling thread, for a few queries. */
  sampleChainsNow(graph: NativeGraph, queries: NativeChainQueries, options: NativeChainOptions): NativeChains
  /** U_cand of the one query given, ascending, and how many items each shares. */
  chainCandidates(
    graph: NativeGraph,
    queries: NativeChainQueries,
    sharedClock: boolean,
  ): { readonly users: Int32Array; readonly shared: Int32Array }
  inspectSafetensors(file: string): NativeTensorFacts[]
  /** One kernel of one instruction set on given arrays, timed inside; null: the reference has no such kernel. */
  runKernel(call: NativeKernelCall, control: Control): Promise<NativeKernelRun | null>
  /** `seconds` for each ceiling; `bytes`: of the array that is read, beyond every cache. */
  machineCeilings(seconds: number, bytes: number, control: Control): Promise<NativeCeilings>
  /**
   * Metadata and tensors of a GGUF file, strictly checked; lists of metadata only where asked for. Throws
   * RR_BAD_GGUF, RR_UNSUPPORTED_QUANTISATION.
   */
  inspectGguf(file: string, lists: boolean): NativeGguf
}
