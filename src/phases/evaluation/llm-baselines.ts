/**
 * The field's language-model baselines (baselines.llm) and the rows of an evaluation that they are:
 *   zero_shot      the model as given, answers scored behind the direct prompt
 *   zero_shot_cot  the model as given, reasoning first
 *   sft_direct     fine-tuned on answers alone (the class of BIGRec and LLaRA)
 *   sdpo           from there, softmax preferences of the true title over several others of the list
 *   grpo_direct    from there, rewards for the true title, without reasoning
 * The last three are rows answers_only_*, the control of the same name; nothing is trained or asked twice.
 */

import type { Config } from '../../config/schema.js'
import type { InferenceMode, LlmBaseline, RowId } from '../../eval/result-row.js'
import { llmBaselines } from '../../eval/result-row.js'
import type { Outcome } from '../../eval/significance.js'
import type { ModelMode } from '../prediction/predictions.js'
import type { PairedDifference } from '../run/run-record.js'
import { directMode, thinkingMode } from './ways-to-answer.js'

type Named = Pick<Config, 'eval' | 'baselines'>

interface NamedRow {
  readonly name: LlmBaseline
  readonly row: RowId
  readonly mode: ModelMode
}

const sources: Readonly<Record<LlmBaseline, readonly [RowId, (config: Pick<Config, 'eval'>) => ModelMode]>> =
  {
    zero_shot: ['base', directMode],
    zero_shot_cot: ['base', thinkingMode],
    sft_direct: ['answers_only_sft', directMode],
    sdpo: ['answers_only_sdpo', directMode],
    grpo_direct: ['answers_only_rl', directMode],
  }

/** Those that the configuration names, in the order above. */
export function namedRows(config: Named): NamedRow[] {
  return llmBaselines
    .filter((name) => config.baselines.llm.includes(name))
    .map((name) => ({ name, row: sources[name][0], mode: sources[name][1](config) }))
}

/** The row and mode that a baseline's name stands for; null for any other word. */
export function rowNamed(config: Pick<Config, 'eval'>, name: string): Pick<NamedRow, 'row' | 'mode'> | null {
  const known = llmBaselines.find((one) => one === name)
  return known ? { row: sources[known][0], mode: sources[known][1](config) } : null
}

/** What a row is called as a baseline, where the configuration names it. */
export function nameOf(config: Named, row: RowId, mode: InferenceMode): LlmBaseline | undefined {
  return namedRows(config).find((named) => named.row === row && named.mode === mode)?.name
}

/** A row as a difference names it. */
export function sideOf(config: Named, { id, mode }: Pick<Judged, 'id' | 'mode'>): PairedDifference['a'] {
  const baseline = nameOf(config, id, mode)
  return { id, mode, ...(baseline && { baseline }) }
}

interface Judged {
  readonly id: RowId
  readonly mode: InferenceMode
  readonly outcomes: readonly Outcome[]
}

interface Side {
  readonly side: PairedDifference['a']
  readonly outcomes: readonly Outcome[]
}

/** The method's last model against each, each against those before it, each against the best row that counts. */
export function baselinePairs(
  config: Named,
  rows: readonly Judged[],
  others: { readonly method: Judged | undefined; readonly counted: Judged | undefined },
): { readonly a: Side; readonly b: Side }[] {
  const side = (row: Judged | undefined): Side[] =>
    row ? [{ side: sideOf(config, row), outcomes: row.outcomes }] : []
  const named = namedRows(config).flatMap(({ row, mode }) =>
    side(rows.find((one) => one.id === row && one.mode === mode)),
  )
  const [method, counted] = [side(others.method), side(others.counted)]
  return [
    ...method.flatMap((a) => named.map((b) => ({ a, b }))),
    ...named.flatMap((a, place) => named.slice(0, place).map((b) => ({ a, b }))),
    ...named.flatMap((a) => counted.map((b) => ({ a, b }))),
  ]
}
