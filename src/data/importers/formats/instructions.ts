/**
 * JSON files made for fine-tuning a language model:
 *   sdpo     S-DPO: {historyList "a::b" or a list, itemList (the candidates), trueSelection}; titles are the ids and no user
 *            is named. The lists are kept as published.
 *   tallrec  TALLRec: {instruction, input, output "Yes." or "No."}. Refused: one title with yes or no is no ranking, and
 *            users, order and items are lost inside the text.
 */

import { ReasonrecError } from '../../../engine/errors.js'
import { type Format, filesOf, type Head, partNamed, type Role } from '../format.js'
import { malformedLine } from '../lines.js'
import { readJson } from '../objects.js'

const startsWith = ({ text }: Head, ...keys: readonly string[]): boolean =>
  /^\s*\[\s*\{/.test(text) && keys.every((key) => text.slice(0, 20_000).includes(`"${key}"`))

export const sdpo: Format = {
  name: 'sdpo',
  about: 'S-DPO JSON: historyList, itemList, trueSelection',
  recognise: (head: Head): Role | null =>
    startsWith(head, 'historyList', 'itemList', 'trueSelection') ? 'windows' : null,
  sets: (files) => [{ name: files[0]?.name.replace(/\.json(\.gz)?$/, '') ?? '', files, preference: 0 }],
  async read(set, intake) {
    for (const file of filesOf(set, 'windows')) {
      intake.file(file)
      const rows = await readJson(file.path)
      if (!Array.isArray(rows)) throw malformedLine(file.path, 1, 'a list of windows', JSON.stringify(rows))
      rows.forEach((row, index) => {
        const { historyList, itemList, trueSelection } = (row ?? {}) as Record<string, unknown>
        const history = typeof historyList === 'string' ? historyList.split('::') : historyList
        if (!isTexts(history) || !isTexts(itemList) || typeof trueSelection !== 'string')
          throw malformedLine(file.path, 1, `titles in window ${index + 1}`, JSON.stringify(row))
        for (const title of [...history, ...itemList, trueSelection]) intake.item(title, title)
        intake.list(partNamed(file.name) ?? 'test', {
          user: '',
          history,
          target: trueSelection,
          candidates: itemList,
          line: index + 1,
        })
      })
    }
    intake.note('titles are the ids of this format')
    return { wholeCatalogue: true }
  },
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string')

export const tallrec: Format = {
  name: 'tallrec',
  about: 'TALLRec JSON: recognised and refused, it is no ranking data',
  recognise: (head: Head): Role | null =>
    startsWith(head, 'instruction', 'input', 'output') ? 'windows' : null,
  read({ files }) {
    const [{ path } = { path: '' }] = files
    throw new ReasonrecError(
      'RR_DATA_NOT_RANKING',
      `${path}: instructions with one answer each are no ranking data`,
      {
        expected: 'who chose what, in order, or histories with lists to choose from',
        got: 'instruction, input, output',
        remedy: 'import the ratings that these texts were made from',
        file: path,
      },
    )
  },
}
