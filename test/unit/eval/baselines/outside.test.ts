/** Models from outside: the ONNX scorer contract and imported tables of scores. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadDataset } from '../../../../src/data/load.js'
import type { Dataset } from '../../../../src/data/types.js'
import { importedScores } from '../../../../src/eval/baselines/imported-scores.js'
import { openOnnxScorer } from '../../../../src/eval/baselines/onnx-scorer.js'
import { popularityBaseline } from '../../../../src/eval/baselines/popularity.js'
import { rankedRows, scorerOf } from '../../../../src/eval/ranked-rows.js'
import { lastItemModel } from '../../../fixtures/onnx-model.js'
import { writeSyntheticData } from '../../../fixtures/synthetic-data.js'

let root: string
let dataset: Dataset
let ids: string[]
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reasonrec-outside-'))
  await writeSyntheticData(join(root, 'data'), { users: 90, items: 80, seed: 12 })
  dataset = await loadDataset(join(root, 'data'))
  // In an order of its own, and without the last three.
  ids = dataset.items
    .map(({ id }) => id)
    .reverse()
    .slice(0, -3)
})
afterAll(() => rm(root, { recursive: true, force: true }))

const score = (code: number, place: number): number => ((code * 31 + place * 17) % 101) / 100

async function model(name: string, width: 'items' | 'codes' | number, output?: string): Promise<string> {
  const codes = ids.length + 1
  const columns = width === 'items' ? ids.length : width === 'codes' ? codes : width
  const first = columns - ids.length
  const weights = Float32Array.from({ length: codes * columns }, (_, at) =>
    score(Math.floor(at / columns), (at % columns) - first),
  )
  const path = join(root, `${name}.onnx`)
  await writeFile(path, lastItemModel(weights, codes, output))
  await writeFile(join(root, `${name}.json`), JSON.stringify({ items: ids, max_length: 5 }))
  return path
}

describe('an ONNX scorer', () => {
  it('scores by its own item order, whether columns are items or codes', async () => {
    for (const width of ['items', 'codes'] as const) {
      const scorer = await openOnnxScorer(await model(width, width), dataset)
      try {
        const rows = await scorer.scores(dataset.test)
        let unknown = 0
        dataset.test.forEach(({ history, candidates }, at) => {
          const known = history
            .map((item) => ids.indexOf(dataset.items[item]!.id))
            .filter((place) => place >= 0)
          const code = (known.at(-1) ?? -1) + 1
          const expected = candidates.map((item) => {
            const place = ids.indexOf(dataset.items[item]!.id)
            unknown += place < 0 ? 1 : 0
            return place < 0 ? Number.NEGATIVE_INFINITY : Math.fround(score(code, place))
          })
          expect(rows[at]).toEqual(expected)
        })
        expect(unknown).toBeGreaterThan(0)
        const [row] = await rankedRows(dataset, dataset.test, [scorer], { seed: 0 })
        expect(row?.row).toMatchObject({ id: 'onnx', name: width, n: dataset.test.length })
        const stranger = { ...dataset.test[0]!, history: [] }
        expect(await scorer.scores([stranger])).toEqual([null])
      } finally {
        await scorer.close()
      }
    }
  })

  it('that does not fit is refused with what it has', async () => {
    const code = async (path: string): Promise<string> => {
      try {
        const scorer = await openOnnxScorer(path, dataset)
        try {
          await scorer.scores(dataset.test.slice(0, 2))
        } finally {
          await scorer.close()
        }
        return 'none'
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    expect(await code(await model('other-output', 'items', 'logits'))).toBe('RR_MODEL_ONNX')
    expect(await code(await model('narrow', ids.length - 5))).toBe('RR_MODEL_ONNX')
    expect(await code(join(root, 'absent.onnx'))).toBe('RR_MODEL_NOT_FOUND')
    await writeFile(join(root, 'broken.onnx'), 'no protobuf')
    await writeFile(join(root, 'broken.json'), JSON.stringify({ items: ids }))
    expect(await code(join(root, 'broken.onnx'))).toBe('RR_MODEL_ONNX')
    await writeFile(join(root, 'broken.json'), '{"items": 3}')
    expect(await code(join(root, 'broken.onnx'))).toBe('RR_MODEL_ONNX')
  })
})

describe('imported scores', () => {
  const rowsOf = (key: 'instance' | 'user'): string[] => {
    const { score: popular } = popularityBaseline(dataset)
    return dataset.test.flatMap((test) =>
      popular(test).map((value, at) =>
        [key === 'user' ? test.user : test.id, dataset.items[test.candidates[at]!]!.id, value].join(','),
      ),
    )
  }
  const read = (path: string, missing: 'refuse' | 'last' = 'refuse') =>
    importedScores(path, dataset, dataset.test, { name: 'theirs', missing })
  const put = async (name: string, lines: readonly string[]): Promise<string> => {
    const path = join(root, name)
    await writeFile(path, name.endsWith('.gz') ? gzipSync(lines.join('\n')) : lines.join('\n'))
    return path
  }

  it('of a baseline give its row, by instance or by user', async () => {
    const [own] = await rankedRows(dataset, dataset.test, [scorerOf(popularityBaseline(dataset))], {
      seed: 0,
    })
    const files = [
      await put('by-instance.csv', ['instance,item,score', ...rowsOf('instance')]),
      await put('by-user.csv.gz', ['user,item,score', ...rowsOf('user').reverse()]),
    ]
    for (const file of files) {
      const [row] = await rankedRows(dataset, dataset.test, [await read(file)], { seed: 0 })
      expect(row?.row).toEqual({ ...own?.row, id: 'imported', name: 'theirs' })
    }
  })

  it('without a candidate are refused, or it comes last', async () => {
    const file = await put('short.csv', ['instance,item,score', ...rowsOf('instance').slice(0, -3)])
    await expect(read(file)).rejects.toMatchObject({ code: 'RR_DATA_SCORES' })
    const last = await read(file, 'last')
    expect(last.missing).toBe(3)
    const rows = await last.scores(dataset.test)
    expect(rows.at(-1)?.slice(-3)).toEqual(new Array(3).fill(Number.NEGATIVE_INFINITY))
  })

  it('that are no numbers, or name no test, are refused with their line', async () => {
    const [first = '', ...rest] = rowsOf('instance')
    const file = await put('words.csv', ['instance,item,score', first.replace(/[^,]*$/, 'much'), ...rest])
    await expect(read(file)).rejects.toMatchObject({
      code: 'RR_DATA_MALFORMED',
      message: expect.stringMatching(/words\.csv:2/),
    })
    await expect(read(await put('nobody.csv', ['what,item,score']))).rejects.toMatchObject({
      code: 'RR_DATA_MALFORMED',
    })
  })
})
