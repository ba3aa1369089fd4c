/** A row of the result table (contracts): one model or baseline under one inference mode. */

export type RowId =
  | 'random'
  | 'popularity'
  | 'popularity_recent'
  | 'markov'
  | 'co_occurrence'
  | 'item_knn'
  | 'ease'
  | 'onnx'
  | 'imported'
  | 'sasrec'
  | 'base'
  | 'imitated'
  | 'internalized'
  | 'answers_only_sft'
  | 'answers_only_sdpo'
  | 'answers_only_rl'
  | 'shuffled_history'
  | 'shuffled_ratings'
  | 'exchanged_reasoning'
  | 'filler_reasoning'
  | 'oracle'

/** What the field calls its language-model baselines; phases/evaluation/llm-baselines.ts says which rows they are. */
export const llmBaselines = ['zero_shot', 'zero_shot_cot', 'sft_direct', 'sdpo', 'grpo_direct'] as const
export type LlmBaseline = (typeof llmBaselines)[number]

/** none: rows without a language model. The others: phases/prediction/predictions.ts. */
export type InferenceMode =
  | 'none'
  | 'score'
  | 'think_score'
  | 'free'
  | 'pointwise'
  | 'think_beam'
  | 'direct_beam'
  | 'thoughts'
  | 'ground'

/** A cut-off: HR@K and NDCG@K. */
export type CutMetric = 'hr1' | `${'hr' | 'ndcg'}${3 | 5 | 10 | 20 | 50}`

/** What every row has, and further cut-offs where the method's paper or the protocol reports them. */
export interface RankingMeans extends Readonly<Partial<Record<CutMetric, number>>> {
  readonly hr1: number
  readonly hr5: number
  readonly ndcg5: number
  readonly mrr: number
}

export type RankingMetric = keyof RankingMeans

/** Every metric, in the order in which tables show them. */
export const rankingMetrics = [
  'hr1',
  'hr3',
  'hr5',
  'hr10',
  'hr20',
  'hr50',
  'ndcg3',
  'ndcg5',
  'ndcg10',
  'ndcg20',
  'ndcg50',
  'mrr',
] as const satisfies readonly RankingMetric[]

/** What every row has. */
export const basicMetrics = ['hr1', 'hr5', 'ndcg5', 'mrr'] as const satisfies readonly RankingMetric[]
/** The same and the cut at three. */
export const topThreeMetrics = [
  'hr1',
  'hr3',
  'hr5',
  'ndcg3',
  'ndcg5',
  'mrr',
] as const satisfies readonly RankingMetric[]
/** The same and the cut at ten: lists of candidates. */
export const listMetrics = [
  'hr1',
  'hr3',
  'hr5',
  'hr10',
  'ndcg3',
  'ndcg5',
  'ndcg10',
  'mrr',
] as const satisfies readonly RankingMetric[]
/** Ranking a whole catalogue. */
export const catalogueMetrics = [
  'hr1',
  'hr5',
  'hr10',
  'hr20',
  'hr50',
  'ndcg5',
  'ndcg10',
  'ndcg20',
  'ndcg50',
  'mrr',
] as const satisfies readonly RankingMetric[]

export interface ResultRow extends RankingMeans {
  readonly id: RowId
  readonly mode: InferenceMode
  readonly n: number
  /** 95 % bootstrap interval, clustered by user. */
  readonly lo95: RankingMeans
  readonly hi95: RankingMeans
  /** Share of answers that named a candidate in the asked form; 1 for rows without text. */
  readonly parse_rate: number
  /** A row that baselines.llm names. */
  readonly baseline?: LlmBaseline
  /** Of a scorer from outside. */
  readonly name?: string
  /** Whole catalogue: are the items that the user chose before left out of the ranking? */
  readonly masked?: boolean
  /** The same row on lists of several candidate seeds: mean and standard deviation over the seeds. */
  readonly candidate_seeds?: {
    readonly seeds: readonly number[]
    readonly mean: RankingMeans
    readonly sd: RankingMeans
  }
}
