/**
 * LLaRA: Train_data.df, Val_data.df, Test_data.df (pickled data frames: seq of fixed length filled up with a padding id,
 * len_seq, next) and id2name.txt (`id::name`). A pickle opened by a plain loader runs what it says: refused unless
 * trusted, and then read by pickle.ts, which builds plain data and nothing else. Rows with fewer than three items of
 * history are dropped, as LLaRA does.
 */

import { ReasonrecError } from '../../../engine/errors.js'
import { requiredColumn } from '../../table.js'
import { dataFrame } from '../data-frame.js'
import { type Format, filesOf, type Head, partNamed, type Role, type SourceFile } from '../format.js'
import { everyLine } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'
import { parsePython } from '../python-literal.js'

const shortest = 3

export const llara: Format = {
  name: 'llara',
  about: 'LLaRA: *_data.df (a pickle: --trust-pickle), id2name.txt',
  recognise(head: Head, all: readonly Head[]): Role | null {
    if (['seq', 'len_seq', 'next'].every((name) => head.columns.includes(name))) return 'windows'
    if (head.kind === 'pickle') return /\.(df|pkl|pickle)$/.test(head.name) ? 'windows' : null
    const beside = all.some(({ kind, columns }) => kind === 'pickle' || columns.includes('len_seq'))
    return (beside || head.name === 'id2name.txt') && everyLine(head, /^\d+::.*$/) ? 'items' : null
  },
  sets: (files) => [{ name: 'llara', files, preference: 0 }],
  async read(set, intake) {
    for (const file of filesOf(set, 'windows')) {
      if (file.kind === 'pickle' && !intake.options.trustPickle) throw untrusted(file.path)
      intake.file(file)
      const { seq, lengths, next } = await (file.kind === 'pickle'
        ? pickled(file.path)
        : fromTable(file, intake))
      for (let row = 0; row < next.length; row++) {
        const [all, length] = [seq[row], Number(lengths[row])]
        if (!Array.isArray(all)) throw malformedLine(file.path, row + 1, 'a list in seq', String(all))
        if (length < shortest)
          intake.count(`windows with fewer than ${shortest} items of history were dropped`)
        else
          intake.list(partNamed(file.name) ?? 'test', {
            user: '',
            history: all.slice(0, length).map(String),
            target: String(next[row]),
            candidates: null,
            line: row + 1,
          })
      }
    }
    for (const file of filesOf(set, 'items'))
      await intake.cells(file, { by: /::(.*)/s, width: 3 }, ([id = '', name = ''], line) =>
        intake.item(id, name, {}, line),
      )
    return { name: 'LLaRA', wholeCatalogue: true }
  },
}

interface Windows {
  readonly seq: readonly unknown[]
  readonly lengths: readonly unknown[]
  readonly next: readonly unknown[]
}

async function pickled(path: string): Promise<Windows> {
  const frame = await dataFrame(path)
  const [seq, lengths, next] = [frame.get('seq'), frame.get('len_seq'), frame.get('next')]
  if (seq && lengths && next) return { seq, lengths, next }
  throw malformedLine(path, 1, 'columns seq, len_seq and next', [...frame.keys()].join(', '))
}

/** The same frame written as Parquet; DuckDB prints its lists as [1, 2, 3]. */
async function fromTable(file: SourceFile, intake: Intake): Promise<Windows> {
  const table = await intake.table(file)
  const [seq, length, next] = ['seq', 'len_seq', 'next'].map((name) => requiredColumn(table, name)) as [
    number,
    number,
    number,
  ]
  const out = { seq: [] as unknown[], lengths: [] as unknown[], next: [] as unknown[] }
  await table.each((cells) => {
    out.seq.push(parsePython(cells[seq] as string))
    out.lengths.push(cells[length])
    out.next.push(cells[next])
  })
  return out
}

function untrusted(path: string): ReasonrecError {
  return new ReasonrecError(
    'RR_DATA_PICKLE',
    `${path}: this is a pickle, and opening a pickle can run code`,
    {
      expected: 'text or Parquet',
      got: 'a Python pickle',
      remedy:
        'write it anew where you trust it: python -c "import pandas, sys; pandas.read_pickle(sys.argv[1]).to_parquet(sys.argv[2])" IN OUT.parquet; ' +
        'or give --trust-pickle, whose reader builds plain data frames only',
      file: path,
    },
  )
}
