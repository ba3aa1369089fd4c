/**
 * A split for other programs: the same users, histories, targets and candidates.
 *
 *   jsonl    train.jsonl, valid.jsonl, test.jsonl: {"id", "user", "history": [ids], "target": id, "candidates": [ids]};
 *            no candidates in train, whose lists are drawn anew each epoch, nor where the whole catalogue is ranked
 *   recbole  NAME.train.inter, NAME.valid.inter, NAME.test.inter (one row per window: user_id, item_id_list, item_id),
 *            NAME.item with titles, and recbole.yaml with the settings that read them (benchmark_filename)
 *
 * Ids are those of the files. A tab or line end in an id or title is a blank.
 */

import { type Dataset, type Instance, type Item, type ItemIndex, partNames } from './types.js'

export const splitForms = ['jsonl', 'recbole'] as const
export type SplitForm = (typeof splitForms)[number]

export interface SplitFile {
  readonly name: string
  lines(): Generator<string>
}

export function splitFiles(dataset: Dataset, form: SplitForm): SplitFile[] {
  return form === 'jsonl' ? jsonLines(dataset) : recbole(dataset)
}

function jsonLines(dataset: Dataset): SplitFile[] {
  const id = idOf(dataset)
  return partNames.map((part) => ({
    name: `${part}.jsonl`,
    *lines() {
      for (const { id: name, user, history, target, candidates } of dataset[part])
        yield JSON.stringify({
          id: name,
          user,
          history: history.map(id),
          target: id(target),
          ...(part !== 'train' && !dataset.fullRanking && { candidates: candidates.map(id) }),
        })
    },
  }))
}

const cell = (text: string): string => text.replace(/[\t\r\n]+/g, ' ')
/** Token sequences are split on blanks. */
const token = (text: string): string => text.replace(/\s+/g, '_')

function recbole(dataset: Dataset): SplitFile[] {
  const name = dataset.name.replace(/[^\w-]+/g, '_') || 'data'
  const id = idOf(dataset)
  const windows = (instances: readonly Instance[]) =>
    function* (): Generator<string> {
      yield 'user_id:token\titem_id_list:token_seq\titem_id:token'
      for (const { user, history, target } of instances)
        yield [token(user), history.map((item) => token(id(item))).join(' '), token(id(target))].join('\t')
    }
  const parts = partNames.map((part) => ({ name: `${name}.${part}.inter`, lines: windows(dataset[part]) }))
  const longest = Math.max(
    1,
    ...partNames.map((part) =>
      dataset[part].reduce((most, { history }) => Math.max(most, history.length), 0),
    ),
  )
  return [
    ...parts,
    {
      name: `${name}.item`,
      *lines() {
        yield 'item_id:token\ttitle:token_seq'
        for (const item of dataset.items) yield `${token(item.id)}\t${cell(item.title.text)}`
      },
    },
    { name: 'recbole.yaml', lines: () => settings(name, longest) },
  ]
}

function* settings(name: string, longest: number): Generator<string> {
  yield `# run_recbole(model='SASRec', dataset='${name}', config_file_list=['recbole.yaml']); the folder is named ${name}`
  yield 'benchmark_filename: [train, valid, test]'
  yield 'alias_of_item_id: [item_id_list]'
  yield 'load_col: {inter: [user_id, item_id_list, item_id]}'
  yield 'USER_ID_FIELD: user_id'
  yield 'ITEM_ID_FIELD: item_id'
  yield `MAX_ITEM_LIST_LENGTH: ${longest}`
  yield 'train_neg_sample_args: ~'
  yield '# Ranks the whole catalogue; for our candidate lists score them and read them in with `data import-scores`.'
  yield 'eval_args: {split: {LS: valid_and_test}, order: TO, mode: full}'
  yield 'metrics: [Hit, NDCG, MRR]'
  yield 'topk: [1, 5, 10]'
}

function idOf(dataset: Dataset): (item: ItemIndex) => string {
  return (item) => (dataset.items[item] as Item).id
}
