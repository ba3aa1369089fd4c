/**
 * The files of a run directory that other parts read: metrics.jsonl, samples.jsonl, summary.json.
 * One JSON object a line. Metric names are fixed here and nowhere else.
 */

import type { Verdict } from '../../eval/audit/audit.js'
import type { Finding } from '../../eval/audit/findings.js'
import type { PositionBias } from '../../eval/position-bias.js'
import type { RankingMetric, ResultRow } from '../../eval/result-row.js'
import type { DrawnChain } from '../../methods/method.js'
import type { LedgerTotals } from '../../teacher/openai/tally.js'

export type Phase = 'collect' | 'imitate' | 'internalize' | 'evaluate'

/** metrics.jsonl of Pattern Imitation: one line a step. */
export interface ImitateMetrics {
  readonly phase: 'imitate'
  readonly step: number
  readonly steps: number
  readonly loss: number
  readonly grad_norm: number
  readonly lr: number
  readonly tokens: number
  readonly tokens_per_second: number
  /** Set where an update was dropped because loss or norm was not finite. */
  readonly skipped?: boolean
}

/** metrics.jsonl of Pattern Internalization: one line a step. */
export interface InternalizeMetrics {
  readonly phase: 'internalize'
  readonly step: number
  readonly steps: number
  readonly loss: number
  readonly reward: number
  readonly reward_std: number
  /** Mean of each reward term before weighting, by term id. */
  readonly reward_terms: Readonly<Record<string, number>>
  /** The same over hits and over misses, and their mean rewards; left out where a step has none. */
  readonly reward_terms_hit?: Readonly<Record<string, number>>
  readonly reward_terms_miss?: Readonly<Record<string, number>>
  readonly reward_hit?: number
  readonly reward_miss?: number
  /** Values replaced by their group's mean, and rollouts out of their group's statistics; left out where 0. */
  readonly reward_imputed?: number
  readonly reward_invalid?: number
  /** Share of rollouts cut at max_new. */
  readonly truncated?: number
  readonly hr1: number
  readonly parse_rate: number
  readonly kl: number
  readonly entropy: number
  readonly ratio_mean: number
  readonly clip_ratio_low: number
  readonly clip_ratio_high: number
  /** Largest |sampled log-prob - trained log-prob| before the update. */
  readonly logprob_mismatch: number
  readonly frac_reward_zero_std: number
  readonly completion_length: number
  readonly grad_norm: number
  readonly lr: number
  readonly tokens: number
  readonly tokens_per_second: number
  /** Share of tokens without a policy term, by off_policy_limit, keep_entropy or clip_cov. */
  readonly left_out?: number
  /** Share of compared groups whose winner has the higher score. */
  readonly preference_accuracy?: number
  /** Where they are steered: weights of the divergence and of the entropy bonus. */
  readonly kl_beta?: number
  readonly entropy_weight?: number
  readonly skipped?: boolean
}

/** metrics.jsonl: a validation during training, or the end of a phase. */
export interface ValidationMetrics {
  readonly phase: 'evaluate'
  /** The model judged: base, imitated, internalized, or "imitate@20", "internalize@10". */
  readonly model: string
  readonly after: 'base' | 'imitate' | 'internalize'
  readonly step: number
  readonly hr1: number
  readonly hr5: number
  readonly ndcg5: number
  readonly n: number
}

export interface CollectMetrics {
  readonly phase: 'collect'
  readonly instances: number
  readonly done: number
  readonly sampled: number
  readonly kept_a: number
  readonly kept_b: number
  readonly kept_c: number
  readonly tokens_per_second: number
}

export type MetricsLine = CollectMetrics | ImitateMetrics | InternalizeMetrics | ValidationMetrics

/** samples.jsonl: what a model wrote, to be shown to a person. Titles and texts are untrusted. */
export interface SampleLine {
  readonly phase: Phase
  readonly model: string
  readonly step: number
  readonly instance: string
  readonly history: readonly string[]
  readonly candidates: readonly string[]
  readonly target: string
  readonly reasoning: string
  /** Drawn beside the reasoning, where the method has chains. */
  readonly chains?: readonly DrawnChain[]
  readonly answer: string
  readonly hit: boolean
  readonly reward?: number
  /** The likeliest response to a prompt that is asked throughout Internalization, after `step` steps. */
  readonly watched?: boolean
}

/** What a teacher behind a server was asked and what it cost, over the life of its ledger. */
export interface TeacherUsage extends LedgerTotals {
  readonly model: string
  /** Answered from the ledger alone. */
  readonly replay: boolean
}

/** Counts of Reasoning Collection, for the report. */
export interface CollectSummary {
  readonly instances: number
  readonly sampled: number
  readonly kept: { readonly A: number; readonly B: number; readonly C: number }
  readonly generators: Readonly<Record<string, number>>
  /** Rejections per gate and pass, e.g. rejected.A.G1. */
  readonly rejected: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly builtin_share: number
  /** Targets by popularity decile (10 counts, rarest first): all instances, kept A, kept B, kept C. */
  readonly target_deciles: Readonly<Record<'all' | 'A' | 'B' | 'C', readonly number[]>>
  /** Where one was asked (teacher.kind openai). */
  readonly teacher?: TeacherUsage
}

/** `baseline`: its name, where baselines.llm names the row. */
export interface ComparedSide extends Pick<ResultRow, 'id' | 'mode' | 'baseline'> {}

/** Metric of `a` minus metric of `b` on the same tests; 95 % interval from users drawn in pairs, p two-sided. */
export interface PairedDifference {
  readonly metric: RankingMetric
  readonly a: ComparedSide
  readonly b: ComparedSide
  readonly n: number
  readonly difference: number
  readonly lo95: number
  readonly hi95: number
  readonly p: number
}

/** summary.json: what `run --json` prints (contracts) and what the report adds. */
export interface RunSummary {
  readonly schema: 1
  readonly run: string
  /** Null in a run of baselines alone. */
  readonly adapter: string | null
  readonly report: string
  readonly seconds: {
    readonly collect: number
    readonly imitate: number
    readonly internalize: number
    readonly evaluate: number
  }
  readonly cpu_seconds: number
  readonly world_size: number
  readonly config_hash: string
  /** Of a run of baselines alone: no phase of the method is part of it. */
  readonly baselines_only?: true
  readonly table: readonly ResultRow[]
  /** The differences the report states: imitated - base, internalized - imitated, internalized - base, ... */
  readonly differences?: readonly PairedDifference[]
  readonly collect: CollectSummary
  /** The set that trains, and is tested on where `tested` is absent. */
  readonly dataset: SetFacts
  /** Another set, which table, differences, quality and samples are of (eval.data). */
  readonly tested?: SetFacts
  readonly model: {
    readonly name: string
    readonly family: string
    readonly parameters: number
    readonly vocab: number
  }
  readonly environment: Readonly<Record<string, string>>
  /** Reasoning quality and popularity metrics per model row id. */
  readonly quality: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** Leak audit of the data and of the prompts: what every result must be read with. Absent in older runs. */
  readonly audit?: RunAudit
  /** Answers by place of the list, per row id: the main mode, and what was trained on answers alone. Absent in older runs. */
  readonly places?: Readonly<Record<string, PositionBias>>
  readonly truncated: readonly string[]
}

export interface SetFacts {
  readonly name: string
  readonly items: number
  readonly train: number
  readonly valid: number
  readonly test: number
  readonly notes: readonly string[]
}

export interface RunAudit {
  /** On the set that is tested on and the prompts about it. */
  readonly verdict: Verdict
  /** Worst first. */
  readonly findings: readonly Finding[]
  /** On the set that trained, where it is another one. */
  readonly trained?: { readonly verdict: Verdict; readonly findings: readonly Finding[] }
}
