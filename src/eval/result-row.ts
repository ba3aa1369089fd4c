/** A row of the result table (contracts): one model or baseline under one inference mode. */

export type RowId =
  | 'random'
  | 'popularity'
  | 'item_knn'
  | 'base'
  | 'imitated'
  | 'internalized'
  | 'answers_only_sft'
  | 'answers_only_rl'
  | 'shuffled_history'
  | 'shuffled_ratings'
  | 'exchanged_reasoning'
  | 'oracle'

/**
 * think_score: greedy reasoning, then candidates scored; score: candidates scored at once; free: greedy text, parsed;
 * pointwise: a question for each candidate, ranked by expected grade.
 */
export type InferenceMode = 'none' | 'score' | 'think_score' | 'free' | 'pointwise'

export interface RankingMeans {
  readonly hr1: number
  readonly hr5: number
  readonly ndcg5: number
  readonly mrr: number
  /** Where the method's paper reports them. */
  readonly hr3?: number
  readonly ndcg3?: number
}

export type RankingMetric = keyof RankingMeans

/** What every row has. */
export const basicMetrics = ['hr1', 'hr5', 'ndcg5', 'mrr'] as const satisfies readonly RankingMetric[]
/** The same and the cut at three, in the order in which tables show them. */
export const topThreeMetrics = [
  'hr1',
  'hr3',
  'hr5',
  'ndcg3',
  'ndcg5',
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
}
