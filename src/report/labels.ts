/** What the rows, modes, gates and metrics of a run are called when a person reads them. */

import type { InferenceMode, LlmBaseline, ResultRow, RowId } from '../eval/result-row.js'

export const rowLabels: Readonly<Record<RowId, string>> = {
  random: 'Random',
  popularity: 'Popularity',
  popularity_recent: 'Popularity, recent',
  markov: 'Markov',
  co_occurrence: 'Co-occurrence',
  item_knn: 'Item-kNN',
  ease: 'EASE',
  onnx: 'ONNX scorer',
  imported: 'Imported scores',
  sasrec: 'SASRec',
  base: 'Base model',
  imitated: 'Imitated',
  internalized: 'Internalized',
  answers_only_sft: 'Answers only, SFT',
  answers_only_sdpo: 'Answers only, S-DPO',
  answers_only_rl: 'Answers only, RL',
  shuffled_history: 'Shuffled history',
  shuffled_ratings: 'Shuffled ratings',
  exchanged_reasoning: 'Exchanged reasoning',
  filler_reasoning: 'Filler for reasoning',
  oracle: 'Oracle',
}

export const modeLabels: Readonly<Record<InferenceMode, string>> = {
  none: 'no text',
  score: 'score',
  think_score: 'think, then score',
  free: 'free text',
  pointwise: 'one by one',
  think_beam: 'think, then search',
  direct_beam: 'search',
  thoughts: 'several thoughts',
  ground: 'free text, nearest title',
}

export const baselineLabels: Readonly<Record<LlmBaseline, string>> = {
  zero_shot: 'Zero-shot',
  zero_shot_cot: 'Zero-shot, chain of thought',
  sft_direct: 'SFT-direct',
  sdpo: 'S-DPO',
  grpo_direct: 'GRPO-direct',
}

/** The three models of the story, in its order. */
export const storyModels = ['base', 'imitated', 'internalized'] as const

const counted: ReadonlySet<string> = new Set([
  'random',
  'popularity',
  'popularity_recent',
  'markov',
  'co_occurrence',
  'item_knn',
  'sasrec',
  'ease',
  'onnx',
  'imported',
  'oracle',
])

/** Rows that need no language model: floors and the ceiling. */
export function isCounted(row: ResultRow): boolean {
  return counted.has(row.id)
}

export function rowLabel(id: string): string {
  return (rowLabels as Readonly<Record<string, string | undefined>>)[id] ?? id
}

/** A row among others of its id: as a baseline, with the scorer's name, and whether a catalogue is ranked without the chosen. */
export function fullRowLabel({
  id,
  baseline,
  name,
  masked,
}: Pick<ResultRow, 'id' | 'baseline' | 'name' | 'masked'>): string {
  if (baseline !== undefined) return baselineLabels[baseline]
  const named = name === undefined ? rowLabel(id) : `${rowLabel(id)} ${name}`
  return masked === true ? `${named}, chosen left out` : named
}

export function modeLabel(mode: string): string {
  return (modeLabels as Readonly<Record<string, string | undefined>>)[mode] ?? mode
}

export const gateLabels: Readonly<Record<string, string>> = {
  G1: 'form: one explanation, one answer, nothing else',
  G2: 'item: the answer is a candidate and not in the history',
  G3: 'hit: the answer is the next item',
  G4: 'leak: no word of the private note',
  G5: 'length of the explanation',
  G6: 'repetition',
  G7: 'grounding: quoted titles exist in the prompt',
  G8: 'language and script',
  G9: 'usefulness: log-prob gain of the next item',
  G10: 'duplicates and boilerplate',
}

export function gateLabel(gate: string): string {
  const label = gateLabels[gate]
  return label ? `${gate} ${label}` : gate
}

/** Name, meaning and the direction that is wanted. Keys are matched without case, "_" and "@". */
const qualityLabels: readonly (readonly [RegExp, string])[] = [
  [/^gainpositiveshare/, 'Share of explanations that raise the log-prob of the true title (higher)'],
  [/^gain/, 'Log-prob gain of the true title from the explanation, nats per token (higher)'],
  [/^groundingprecision/, 'Grounding: share of cited titles that stand in the prompt (higher)'],
  [/^frozengainpositive/, 'Share of explanations that raise it under the model as given (higher)'],
  [/^frozengainunnamed/, 'The same gain where the explanation does not name the true title (higher)'],
  [/^frozengain/, 'Log-prob gain of the true title under the model as given, nats per token (higher)'],
  [/^posteriorgain/, 'Gain of the true title’s posterior among the candidates, model as given (higher)'],
  [/^rankgain/, 'Places the true title climbs by the explanation, model as given (higher)'],
  [/^truncated(\d+)hr1/, 'HR@1 behind the first $1 % of the words'],
  [/^truncated(\d+)posterior/, 'Posterior of the true title behind the first $1 % of the words'],
  [/^sufficienthr1without/, 'HR@1 of the model as given without history and explanation'],
  [/^sufficienthr1/, 'HR@1 of the model as given from explanation and candidates alone (higher)'],
  [/^perturbedcited/, 'Fall of the answer’s posterior without history titles that are cited'],
  [/^perturbeduncited/, 'Fall without as many that are not cited'],
  [/^perturbeddifference/, 'Difference of the two: the explanation is read (higher)'],
  [/^hallucinated/, 'Share of explanations that cite a title from nowhere in the prompt (lower)'],
  [/^historycoverage/, 'Share of the history that an explanation cites'],
  [/^repeated4grams/, 'Share of 4-grams that repeat within an explanation (lower)'],
  [/^distinct(\d)/, 'Distinct-$1 over all explanations: low is boilerplate (higher)'],
  [/^selfbleu/, 'Self-BLEU: explanations of different users that say the same (lower)'],
  [/^reasoningwordsp95/, 'Words of the longest 5 % of explanations'],
  [/^reasoningwords/, 'Words per explanation'],
  [/^reasoningtokens/, 'Tokens per explanation'],
  [/^reasoningclosed/, 'Share of responses in the asked form (higher)'],
  [/^parserate/, 'Free answers in the asked form (higher)'],
  [/^validratio/, 'ValidRatio: free answers that name exactly one candidate (higher)'],
  [/^incatalogue/, 'Free answers that name an item of the catalogue (higher)'],
  [/^hr1head/, 'HR@1 where the target is in the popular third of interactions'],
  [/^hr1mid/, 'HR@1, middle third'],
  [/^hr1tail/, 'HR@1, long-tail third'],
  [/^arp/, 'ARP: mean training count of what is recommended (lower: less popular)'],
  [/^aplt/, 'APLT: share of recommendations from the long tail (higher)'],
  [/^aclt/, 'ACLT: long-tail items per list (higher)'],
  [/^gini/, 'Gini of recommended items (lower: more even)'],
  [/^coverage/, 'Coverage: share of the catalogue recommended (higher)'],
  [/^entropy/, 'Entropy of recommended items (higher)'],
  [/^divratio/, 'DivRatio: distinct items per recommendation (higher)'],
  [/^orratio/, 'ORRatio: share of the three most recommended items (lower)'],
  [/^poplift/, 'PopLift: popularity against the history (toward 0)'],
  [/^candidatelift/, 'Popularity against the mean of the candidates (toward 0)'],
  [/^gap/, 'Popularity gap to the true next items (toward 0)'],
  [/^mgu/, 'MGU: mean unfairness over popularity groups (lower)'],
  [/^dgu/, 'DGU: largest unfairness over popularity groups (lower)'],
]

export function qualityLabel(key: string): string {
  const folded = key.toLowerCase().replace(/[_@\s-]/g, '')
  const found = qualityLabels.find(([pattern]) => pattern.test(folded))
  if (!found) return key.replace(/_/g, ' ')
  const [pattern, label] = found
  const cut = /_at(\d+)$/.exec(key)?.[1]
  const named = label.replace('$1', pattern.exec(folded)?.[1] ?? '')
  return cut === undefined ? named : `${named}, first ${cut}`
}

/** Reasoning quality, as opposed to popularity and diversity. */
export function isReasoningMetric(key: string): boolean {
  return /^(gain|reasoning|grounding|frozen|posterior|rank_gain|truncated|sufficient|perturbed|hallucinated|history_coverage|repeated|distinct|self_bleu)/i.test(
    key,
  )
}
