/**
 * The typed contract of the .node file: what native/binding exports, and nothing else.
 * Long jobs return promises and take `control`, an Int32Array over a SharedArrayBuffer:
 * [0] set to 1 to cancel, [1] units done, [2] units in all, [3] tokens done (native/core/job.h).
 * Jobs run one after another in the order of their calls. Arrays handed to a job are read before the
 * call returns. Calls that answer at once throw RR_BUSY where they would meet a job that uses the object.
 * Errors are JS errors with `code`, `expected`, `got`, `remedy` (see errors.ts).
 */

export type Control = Int32Array

export type LinearName = 'q_proj' | 'k_proj' | 'v_proj' | 'o_proj' | 'gate_proj' | 'up_proj' | 'down_proj'

export interface NativeModelConfig {
  readonly family: 'llama' | 'mistral' | 'qwen2' | 'qwen3'
  readonly hidden: number
  readonly intermediate: number
  readonly layers: number
  readonly vocab: number
  readonly maxPosition: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly rmsEps: number
  readonly ropeTheta: number
  readonly ropeScaling:
    | { readonly kind: 'none' }
    | { readonly kind: 'linear'; readonly factor: number }
    | {
        readonly kind: 'llama3'
        readonly factor: number
        readonly lowFreqFactor: number
        readonly highFreqFactor: number
        readonly originalMaxPosition: number
      }
    | {
        readonly kind: 'yarn'
        readonly factor: number
        readonly originalMaxPosition: number
        readonly betaFast: number
        readonly betaSlow: number
        /** The ramp's ends are rounded to whole pairs. */
        readonly truncate: boolean
        /** cos and sin are multiplied by it. */
        readonly attentionFactor: number
      }
  readonly tiedHead: boolean
  readonly qkvBias: boolean
  readonly oBias: boolean
  readonly mlpBias: boolean
  readonly qkNorm: boolean
}

/** One adapted linear with a rank and alpha of its own. */
export interface NativeLoraModule {
  readonly layer: number
  readonly linear: LinearName
  readonly rank: number
  readonly alpha: number
}

export interface NativeLoraConfig {
  readonly rank: number
  readonly alpha: number
  readonly rslora: boolean
  readonly targets: readonly LinearName[]
  readonly dropout: number
  /** Empty: every layer's targets with rank and alpha; otherwise exactly these. */
  readonly modules: readonly NativeLoraModule[]
}

/** A named tensor of a flat fp32 buffer; `offset` in floats. */
export interface NativeParameter {
  readonly name: string
  readonly offset: number
  readonly rows: number
  readonly cols: number
  readonly decay: boolean
}

/** How weight matrices are held; auto: bf16 where the files store every matrix so, else fp32. */
export type NativeWeightType = 'auto' | 'fp32' | 'bf16'

/** A tensor of a file; shape slowest first. */
export interface NativeTensorFacts {
  readonly name: string
  /** F32, F16, BF16, F64, I64, I32, U8, or a block format of GGUF such as Q4_K. */
  readonly dtype: string
  readonly shape: number[]
}

export interface NativeGguf {
  /** Texts, numbers and bools; arrays of texts; arrays of numbers as Float64Array. */
  readonly metadata: Readonly<Record<string, string | number | boolean | string[] | Float64Array>>
  readonly tensors: NativeTensorFacts[]
}

export interface NativeModel {
  readonly vocab: number
  readonly dtype: 'fp32' | 'bf16'
  /** Held for weights and rotary tables. */
  readonly bytes: number
  readonly parameters: number
  save(file: string): Promise<void>
}

export interface NativeAdapter {
  readonly config: NativeLoraConfig
  layout(): NativeParameter[]
  /** Copy of the flat fp32 values, (layout total). */
  values(): Float32Array
  setValues(values: Float32Array): void
  save(file: string, metadata: Readonly<Record<string, string>>): Promise<void>
}

export interface NativeSampling {
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly minP: number
  readonly repetitionPenalty: number
}

export type NativeScriptStep =
  | {
      readonly kind: 'free'
      readonly maxNew: number
      readonly sampling: NativeSampling
      readonly stopTokens: Int32Array
      readonly stopTokenEndsSample: boolean
      readonly stopStrings: readonly string[]
    }
  | { readonly kind: 'given'; readonly ids: Int32Array; readonly idsIfUnclosed: Int32Array }
  | { readonly kind: 'choose'; readonly sampling: NativeSampling }

export interface NativeTrie {
  readonly sequences: number
}

export interface NativeGroup {
  readonly prompt: Int32Array
  /** One per sample; stream as a bigint of 64 bits. */
  readonly samples: readonly { readonly stream: bigint; readonly given: Int32Array }[]
  readonly trie: NativeTrie | null
  readonly candidates: readonly Int32Array[]
  readonly beam?: NativeBeam | null
}

/** native/decode/beam_search.h. */
export interface NativeBeam {
  readonly trie: NativeTrie
  readonly width: number
  /** Log-probs over the tokens that the trie allows instead of the vocabulary. */
  readonly renormalise: boolean
  /** Sequences of the trie that must not come out. */
  readonly excluded: Int32Array
}

export type Finish = 'none' | 'stop_token' | 'stop_string' | 'length'

export interface NativeSample {
  /** Every token after the prompt. */
  readonly tokens: Int32Array
  /** Per token: 0 sampled, 1 given, 2 chosen from the trie. */
  readonly kinds: Uint8Array
  /** Natural log, per token; 0 where given. */
  readonly logprobs: Float32Array
  /** Nats, per token; 0 where given. */
  readonly entropies: Float32Array
  /** One per script step. */
  readonly finishes: readonly Finish[]
  /** Index of the chosen sequence, -1 without a choose step. */
  readonly choice: number
  readonly candidateJoint: Float32Array
  readonly candidateMean: Float32Array
  /** Mean over a candidate's tokens of their probability. */
  readonly candidateProb: Float32Array
  /** Sequences of the beam's trie, best first, padded with -1 to its width; empty without a beam. */
  readonly beam: Int32Array
  /** Sums of their token log-probs, padded with -Infinity. */
  readonly beamScores: Float64Array
}

export interface NativeDecodeOptions {
  readonly seed: bigint
  readonly maxRows: number
  readonly sharePrefix: boolean
  readonly vocabularyBytes: { readonly offsets: Float64Array; readonly bytes: Uint8Array } | null
}

export interface NativeAdapters {
  readonly frozen: NativeAdapter | null
  readonly trained: NativeAdapter | null
}

export interface NativeSequenceLogprobs {
  /** Per sequence (length - 1): log p(ids[i + 1] | ids[0..i]). */
  readonly logprobs: Float32Array[]
  /** Per sequence (length), nats: of the distribution after every token. */
  readonly entropies: Float32Array[]
  /** Per sequence (length x vocab), only if asked for. */
  readonly logits: Float32Array[] | null
}

export interface NativeOptimiserStep {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  /** 0: no clipping. */
  readonly clipNorm: number
}

export interface NativeSftResult {
  readonly loss: number
  readonly tokens: number
  readonly rows: number
}

/** Formulas in native/rl/advantage.h. */
export type NativeAdvantageEstimator =
  | 'grpo'
  | 'dr_grpo'
  | 'batch_std'
  | 'rloo'
  | 'rf++'
  | 'rf++_baseline'
  | 'remax'
  | 'opo'
  | 'gpg'
  | 'passk_best'
  | 'passk_bonus'
  | 'gdpo'
  | 'latent_r3'

/** The rewards of a step: rows in groups of consecutive rollouts of one prompt. What an estimator needs not may be empty. */
export interface NativeRewardBatch {
  /** (rows x terms), row after row. */
  readonly rewards: Float64Array
  /** (terms): a row's reward is the weighted sum of its terms. */
  readonly termWeights: Float64Array
  readonly groupSizes: Int32Array
  /** (rows) 0: out of all statistics, advantage 0. */
  readonly valid: Uint8Array
  /** (rows) trained tokens. */
  readonly lengths: Int32Array
  /** (rows) */
  readonly hits: Uint8Array
  /** (groups) reward of the prompt's greedy rollout. */
  readonly baselines: Float64Array
}

/** Formulas in native/ops/policy_terms.h and preference_loss.h. A constant that is 0 is not given. */
export interface NativePolicyLossConfig {
  readonly loss:
    | 'ppo_clip'
    | 'two_sided'
    | 'gspo'
    | 'gspo_token'
    | 'luspo'
    | 'cispo'
    | 'gmpo'
    | 'sapo'
    | 'reinforce'
    | 'clip_cov'
    | 'kl_cov'
    | 'dpo'
    | 'sdpo'
    | 'simpo'
  readonly clipLow: number
  readonly clipHigh: number
  readonly dualClip: number
  readonly aggregation: 'token_mean' | 'seq_mean_token_mean' | 'seq_mean_token_sum' | 'const_norm'
  readonly maxLength: number
  readonly kl: 'k1' | 'k2' | 'k3' | 'abs' | 'k1+' | 'k3+' | 'abs+' | 'unbiased'
  readonly beta: number
  readonly entropyBonus: number
  /** two_sided: the ratio's cap; cispo: caps above only. */
  readonly ratioCap: number
  /** sapo, positive and other advantages. */
  readonly tauGain: number
  readonly tauLoss: number
  /** kl_cov: weight of |log-ratio| on the chosen tokens. */
  readonly covPenalty: number
  /** Above 0: negative advantages of sequences further than this from the sampling policy are left out, nats per token. */
  readonly offPolicyLimit: number
  /** dpo, sdpo, simpo. */
  readonly preferenceBeta: number
  readonly preferenceMargin: number
}

/** Tokens of whole sequences, one sequence after the other; what a loss needs not may be empty. */
export interface NativePolicyTokens {
  readonly logprob: Float32Array
  readonly oldLogprob: Float32Array
  readonly reference: Float32Array
  readonly advantage: Float32Array
  readonly weight: Float64Array
  readonly treatment: Uint8Array
  readonly lengths: Int32Array
  /** Sequences of each preference group, the winner first. */
  readonly groupSizes: Int32Array
}

export interface NativeTokenSelection {
  readonly loss: NativePolicyLossConfig['loss']
  readonly share: number
  readonly low: number
  readonly high: number
  readonly seed: bigint
  readonly stream: bigint
  /** 1: all. */
  readonly keepEntropy: number
}

export interface NativePolicyGroup {
  readonly prompt: Int32Array
  readonly trie: NativeTrie | null
  readonly completions: readonly {
    readonly ids: Int32Array
    readonly mask: Uint8Array
    readonly oldLogprobs: Float32Array
    readonly advantage: number
    /** One per token in place of `advantage`, or empty. */
    readonly tokenAdvantages: Float32Array
    /** Per token 0 plain, 1 left out of the policy term, 2 penalised by kl_cov; or empty. */
    readonly treatment: Uint8Array
    readonly sftWeight: number
    readonly sftMask: Uint8Array
    readonly trieBegin: number
  }[]
}

export interface NativePolicySums {
  readonly loss: number
  readonly policy: number
  readonly kl: number
  readonly entropy: number
  readonly klSum: number
  readonly ratioSum: number
  readonly entropySum: number
  readonly maxAbsLogRatio: number
  readonly tokens: number
  readonly clippedLow: number
  readonly clippedHigh: number
  /** Tokens whose policy term was masked. */
  readonly leftOut: number
  /** Preference groups, and those whose winner leads. */
  readonly preferences: number
  readonly correct: number
}

export interface NativePolicyResult {
  readonly sums: NativePolicySums
  readonly sftLoss: number
  readonly rows: number
  /** Flat in the order of groups, completions, tokens. */
  readonly logprobs: Float32Array
  readonly referenceLogprobs: Float32Array
  readonly entropies: Float32Array
}

export interface NativeTrainer {
  accumulateSft(
    sequences: readonly { readonly ids: Int32Array; readonly weights: Float32Array }[],
    normaliser: number,
    dropout: { readonly p: number; readonly seed: bigint },
    control: Control,
  ): Promise<NativeSftResult>
  accumulatePolicy(
    groups: readonly NativePolicyGroup[],
    loss: NativePolicyLossConfig,
    weights: Float64Array,
    temperature: number,
    reference: NativeAdapters,
    gradients: boolean,
    control: Control,
  ): Promise<NativePolicyResult>
  /** Gradient norm before clipping; not finite: nothing was changed. */
  apply(step: NativeOptimiserStep): Promise<number>
  dropGradients(): void
  layout(): NativeParameter[]
  values(): Float32Array
  setValues(values: Float32Array): void
  gradients(): Float32Array
  /** Writes moments (and, in full-parameter mode, the weights) as safetensors. */
  saveState(file: string): Promise<void>
  /** Restores what saveState wrote; throws RR_CHECKPOINT_MISMATCH for another layout. */
  loadState(file: string): Promise<void>
  readonly steps: number
}

/** A built user-item graph (native/graph/interaction_graph.h). */
export interface NativeGraph {
  readonly users: number
  readonly items: number
  readonly edges: number
  readonly bytes: number
}

/** Columns of interactions; rating NaN: none. */
export interface NativeEdges {
  readonly users: Int32Array
  readonly items: Int32Array
  readonly ratings: Float32Array
  readonly times: Float64Array
}

/** Columns of queries (native/graph/chains.h); offsets have one entry more than there are queries. */
export interface NativeChainQueries {
  /** -1: not in the graph. */
  readonly users: Int32Array
  /** -1: closed over the user's own items. */
  readonly targets: Int32Array
  readonly counts: Int32Array
  readonly streams: BigUint64Array
  readonly before: Float64Array
  /** Int32Array of 0 and 1: whether the user's edges are those given here instead of the graph's. */
  readonly ownGiven: Int32Array
  readonly ownOffsets: Int32Array
  readonly ownItems: Int32Array
  readonly ownRatings: Float32Array
  readonly ownTimes: Float64Array
  readonly excludedOffsets: Int32Array
  readonly excluded: Int32Array
}

export interface NativeChainOptions {
  readonly seed: bigint
  readonly weights: 'faithful' | 'tuned'
  readonly form: 'closed' | 'open'
  readonly fallBack: boolean
  readonly sharedClock: boolean
  readonly middles: number
}

/** Chains of all queries in their order, k = middles. */
export interface NativeChains {
  /** (chains, k) */
  readonly users: Int32Array
  /** (chains, k + 1) */
  readonly items: Int32Array
  /** (chains, 2k + 2); NaN: none or hidden. */
  readonly ratings: Float32Array
  /** (queries) */
  readonly counts: Int32Array
  /** (queries): 0 closed, 1 open, 2 no chain. */
  readonly outcomes: Int32Array
}

/** Lists of item numbers one after another; offsets has one entry more than there are lists. */
export interface NativeSequences {
  readonly items: Int32Array
  readonly offsets: Int32Array
}

/** native/sasrec/sasrec_model.h */
export interface NativeSasrecShape {
  /** Size of the catalogue. */
  readonly items: number
  /** Longest sequence that is read. */
  readonly positions: number
  readonly width: number
  readonly blocks: number
  readonly heads: number
  readonly normEpsilon: number
}

/** native/sasrec/sasrec_trainer.h */
export interface NativeSasrecStep {
  /** The loss is a sum over predictions divided by this, of the whole step. */
  readonly normaliser: number
  readonly dropout: number
  /** Of dropout masks and negatives: another one each step. */
  readonly seed: bigint
  /** Per prediction, drawn uniformly; 0: softmax over the whole catalogue. */
  readonly negatives: number
  /** Weight of the positive's term where negatives are drawn. */
  readonly positiveWeight: number
  /** Draws no items of the sequence itself. */
  readonly spareSequence: boolean
  /** Rows of a micro-batch; changes memory, not bits. */
  readonly rowBudget: number
}

export interface NativeSasrec {
  accumulate(
    sequences: NativeSequences,
    step: NativeSasrecStep,
    control: Control,
  ): Promise<{ readonly loss: number; readonly rows: number }>
  /** Gradient norm before clipping; not finite: nothing was changed. */
  apply(step: NativeOptimiserStep): Promise<number>
  dropGradients(): void
  /** candidates without lists: the whole catalogue. Flat. */
  scores(
    histories: NativeSequences,
    candidates: NativeSequences,
    options: { readonly rowBudget: number },
    control: Control,
  ): Promise<Float32Array>
  layout(): NativeParameter[]
  values(): Float32Array
  setValues(values: Float32Array): void
  gradients(): Float32Array
  saveState(file: string): Promise<void>
  loadState(file: string): Promise<void>
}

export interface NativeAddon {
  info(): {
    readonly version: string
    readonly isa: string
    /** Columns per panel of a packed matrix. */
    readonly panel: number
    readonly isas: string[]
    readonly threads: number
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
  /**
   * Metadata and tensors of a GGUF file, strictly checked; lists of metadata only where asked for. Throws
   * RR_BAD_GGUF, RR_UNSUPPORTED_QUANTISATION.
   */
  inspectGguf(file: string, lists: boolean): NativeGguf
}
