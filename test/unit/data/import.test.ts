/**
 * Every format that is imported: a made-up set in its layout is recognised by content and gives the rows it was made from,
 * and import -> export -> import gives the same bytes. The samples of REASONREC_DATA do the same or are refused by name.
 */

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { withDuckDb } from '../../../src/data/duckdb.js'
import { type ImportOptions, type ImportReport, importPath } from '../../../src/data/importers/import.js'
import { formats } from '../../../src/data/importers/registry.js'
import { openTable } from '../../../src/data/table.js'
import { tableForms } from '../../../src/data/write.js'
import type { ReasonrecError } from '../../../src/engine/errors.js'
import { events, type Layout, layouts, titleOf, writeLayout } from '../../fixtures/format-folders.js'
import { callingPickle } from '../../fixtures/pickled-frame.js'

const root = mkdtempSync(join(tmpdir(), 'reasonrec-import-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let made = 0
const place = (): string => join(root, `place-${made++}`)

async function rows(folder: string, stem: string): Promise<Record<string, string>[]> {
  const table = await openTable(join(folder, `${stem}.csv`))
  const all: Record<string, string>[] = []
  await table.each(
    (cells) => void all.push(Object.fromEntries(table.columns.map((name, at) => [name, cells[at] ?? '']))),
  )
  return all
}

const filesUnder = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()

async function expectSameAfterExport(folder: string, form: (typeof tableForms)[number]): Promise<void> {
  const [exported, back] = [place(), place()]
  await importPath(folder, exported, { form })
  await importPath(exported, back)
  expect(filesUnder(back), form).toEqual(filesUnder(folder))
  for (const name of filesUnder(folder))
    expect(readFileSync(join(back, name), 'utf8'), `${form}: ${name}`).toBe(
      readFileSync(join(folder, name), 'utf8'),
    )
}

async function imported(layout: Pick<Layout, 'files'>, options: ImportOptions = {}): Promise<ImportReport> {
  const folder = place()
  writeLayout(folder, layout)
  return importPath(folder, place(), options)
}

async function refusal(layout: Pick<Layout, 'files'>, options: ImportOptions = {}): Promise<ReasonrecError> {
  const error = await imported(layout, options).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ details: { expected: expect.any(String), remedy: expect.any(String) } })
  return error as ReasonrecError
}

describe('a set in the layout of', () => {
  it.each(Object.entries(layouts))(
    '%s gives the rows it was made from',
    async (name, layout) => {
      const { sets, refused, ignored } = await imported(layout, { trustPickle: layout.trustPickle })
      expect({ refused, ignored, sets: sets.length }).toEqual({ refused: [], ignored: [], sets: 1 })
      const [set] = sets as [ImportReport['sets'][number]]
      expect(set).toMatchObject({ format: layout.format, lists: layout.lists ?? {} })
      const got = new Map<string, Record<string, string>[]>()
      for (const row of await rows(set.out, 'interactions'))
        got.set(row.user ?? '', [...(got.get(row.user ?? '') ?? []), row])
      for (const own of events()) {
        const user = layout.user(own[0]?.user ?? 0)
        expect(
          got.get(user)?.map(({ item }) => item),
          user,
        ).toEqual(own.map(({ item }) => layout.item(item)))
        if (layout.rated)
          expect(got.get(user)?.map(({ rating }) => Number(rating))).toEqual(own.map(({ rating }) => rating))
        else expect(got.get(user)?.[0]).not.toHaveProperty('rating')
        if (layout.timed)
          expect(got.get(user)?.map(({ timestamp }) => Number(timestamp))).toEqual(
            own.map(({ time }) => time),
          )
        else expect(got.get(user)?.[0]).toHaveProperty('order')
      }
      const titles = new Map((await rows(set.out, 'items')).map(({ item = '', title = '' }) => [item, title]))
      for (const { item } of events().flat())
        expect(titles.get(layout.item(item)), name).toBe(layout.titled ? titleOf(item) : '')
      await expectSameAfterExport(
        set.out,
        tableForms[Object.keys(layouts).indexOf(name) % tableForms.length] ?? 'csv',
      )
      // The first of them loads DuckDB.
    },
    60_000,
  )

  it('every format of the registry is among them, but for our own and the one that is refused', () => {
    const shown = new Set(Object.values(layouts).map(({ format }) => format))
    expect(formats.map(({ name }) => name).filter((name) => !shown.has(name))).toEqual([
      'reasonrec',
      'tallrec',
    ])
  })
})

describe('import', () => {
  const log = (text: string, name = 'log.csv'): Pick<Layout, 'files'> => ({ files: { [name]: text } })

  it('takes a folder file by file, and names what it refuses', async () => {
    const { sets, refused, ignored } = await imported({
      files: {
        'a.csv': 'user,item\n1,2\n1,3\n',
        'b.csv': 'user,item\n1,2\n1',
        'c.csv': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
        'd.dat': '<!DOCTYPE html><html>404</html>',
        'e.csv': '',
        'f.txt': 'nothing that anybody knows\n',
        'README.md': 'left out without a word',
      },
    })
    expect(sets.map(({ name, interactions }) => [name, interactions])).toEqual([['a', 2]])
    expect(refused.map(({ error }) => error.code).sort()).toEqual([
      'RR_DATA_EMPTY',
      'RR_DATA_LFS_POINTER',
      'RR_DATA_TRUNCATED',
      'RR_DATA_WEB_PAGE',
    ])
    expect(ignored.map((path) => path.slice(-5))).toEqual(['f.txt'])
  })

  it('takes a file with its companions, and another format where it is told', async () => {
    const folder = place()
    writeLayout(folder, layouts['MovieLens 1M'] as Layout)
    expect((await importPath(join(folder, 'ratings.dat'), place())).sets[0]).toMatchObject({
      format: 'movielens',
      titled: 24,
    })
    writeFileSync(join(folder, 'pairs.txt'), '1 2\n1 3\n2 3\n')
    const options = { format: 'generic', delimiter: ' ', header: false, columns: { user: '2', item: '1' } }
    const { sets } = await importPath(join(folder, 'pairs.txt'), place(), options)
    expect(sets[0]).toMatchObject({ format: 'generic', users: 2, items: 2, interactions: 3 })
  })

  it('names columns by flags, and says which there are', async () => {
    const file = log('who,what,at\nu1,a,5\nu1,b,6\n')
    const columns = { user: 'WHO', item: '2', time: 'at' }
    expect((await imported(file, { columns })).sets[0]).toMatchObject({
      users: 1,
      items: 2,
    })
    const error = await refusal(file, { columns: { user: 'nobody' } })
    expect(error).toMatchObject({ code: 'RR_DATA_COLUMNS', details: { got: 'who, what, at' } })
  })

  it('joins titles from another table', async () => {
    const titles = place()
    writeLayout(titles, log('item,title,year\n2,The <b>Tide</b> &amp; Co,1990\n3,Orchard,\n', 'titles.csv'))
    const { sets } = await imported(log('user,item\n1,2\n1,3\n'), { items: join(titles, 'titles.csv') })
    expect(await rows(sets[0]?.out ?? '', 'items')).toEqual([
      { item: '2', title: 'The Tide & Co', year: '1990' },
      { item: '3', title: 'Orchard', year: '' },
    ])
  })

  it('keeps, draws or refuses ties, and drops doubles', async () => {
    const tied =
      'user,item,timestamp\n1,c,1300000000\n1,a,1300000000\n1,b,1300000000\n1,a,1300000000\n1,d,1200000000\n'
    const itemsOf = async (text: string, options: ImportOptions): Promise<string> => {
      const { sets } = await imported(log(text), options)
      expect(sets[0]).toMatchObject({ duplicates: 1, ties: { share: 2 / 3 } })
      return (await rows(sets[0]?.out ?? '', 'interactions')).map(({ item }) => item).join('')
    }
    expect(await itemsOf(tied, {})).toBe('dcab')
    const drawn = await itemsOf(tied, { ties: 'shuffle', seed: 3 })
    // From what the rows say, not from where they stand.
    const turned = tied.split('\n').slice(1, -1).reverse()
    expect(
      await itemsOf(['user,item,timestamp', ...turned, ''].join('\n'), { ties: 'shuffle', seed: 3 }),
    ).toBe(drawn)
    const others = await Promise.all([4, 5, 6, 7].map((seed) => itemsOf(tied, { ties: 'shuffle', seed })))
    expect(new Set([drawn, ...others]).size).toBeGreaterThan(1)
    expect(await refusal(log(tied), { ties: 'refuse' })).toMatchObject({
      code: 'RR_DATA_TIES',
      details: { line: 3 },
    })
  })

  it('reads Amazon reviews and metadata as Parquet, with times as numbers and as dates', async () => {
    const { files, ...layout } = layouts['Amazon 2023'] as Layout
    const json = await imported({ files })
    const text = async (report: ImportReport): Promise<string[]> => {
      const out = report.sets[0]?.out ?? ''
      const titles = (await rows(out, 'items')).map(({ item, title }) => `${item} ${title}`)
      return [readFileSync(join(out, 'interactions.csv'), 'utf8'), ...titles]
    }
    for (const time of ['timestamp', 'make_timestamp(timestamp * 1000)']) {
      const folder = place()
      mkdirSync(folder)
      const select = { Toys: `SELECT * REPLACE (${time} AS timestamp)`, meta_Toys: 'SELECT *' }
      for (const [name, columns] of Object.entries(select)) {
        const lines = join(folder, `${name}.txt`)
        writeFileSync(lines, String(files[`${name}.jsonl.gz`]))
        await withDuckDb((connection) =>
          connection.run(
            `COPY (${columns} FROM read_json('${lines}', format='newline_delimited')) TO '${join(folder, `${name}.parquet`)}' (FORMAT parquet)`,
          ),
        )
        rmSync(lines)
      }
      const report = await importPath(folder, place())
      expect(report.sets).toMatchObject([{ format: layout.format, titled: 24 }])
      expect(await text(report)).toEqual(await text(json))
    }
  })

  it('joins no titles to numbers that are no ids, and names a number that the map lacks', async () => {
    const { files } = layouts['Goodreads CSV with the map of its books'] as Layout
    const { 'book_id_map.csv': map, ...others } = files
    // Ids of the books as the numbers of the table, which are other books.
    const books = '{"book_id": "3", "title": "Somebody Else", "isbn": ""}\n'
    const { sets } = await imported({ files: { ...others, 'goodreads_books.json.gz': books } })
    expect(sets[0]).toMatchObject({ titled: 0 })
    expect(sets[0]?.notes.join()).toContain('book_id_map.csv')
    const short = String(map).split('\n').slice(0, -2).join('\n')
    expect(await refusal({ files: { ...files, 'book_id_map.csv': short } })).toMatchObject({
      code: 'RR_DATA_MALFORMED',
      details: { expected: 'a number of the map', got: '24' },
    })
  })

  it.each([
    ['log.csv:3: a timestamp', 'user,item,timestamp\n1,2,1300000000\n1,3,yesterday\n', 'RR_DATA_MALFORMED'],
    ['log.csv:3: an empty item', 'user,item\n1,2\n1,\n', 'RR_DATA_MALFORMED'],
    [
      'log.csv:2: times in more than one unit',
      'user,item,ts\n1,2,1300000000\n1,3,1300000000000\n',
      'RR_DATA_TIME_UNIT',
    ],
    ['log.csv has no rows', 'user,item\n', 'RR_DATA_EMPTY'],
  ])('names file and line: %s', async (says, text, code) => {
    const error = await refusal(log(text))
    expect(error.code).toBe(code)
    expect(error.message).toContain(says)
  })

  it('does not open a pickle, and builds nothing but a data frame from one that is trusted', async () => {
    const { files } = layouts.LLaRA as Layout
    expect(await refusal({ files })).toMatchObject({ code: 'RR_DATA_PICKLE' })
    const calling = await refusal(
      { files: { ...files, 'Test_data.df': callingPickle } },
      { trustPickle: true },
    )
    expect(calling).toMatchObject({ code: 'RR_DATA_PICKLE', details: { got: 'os.system' } })
    const whole = files['Test_data.df'] as Buffer
    for (const keep of [3, 200, whole.length - 1])
      expect(
        await refusal({ files: { 'Test_data.df': whole.subarray(0, keep) } }, { trustPickle: true }),
      ).toMatchObject({
        code: 'RR_DATA_PICKLE',
      })
  })
})

describe('DuckDB', () => {
  it('is imported on first use only', () => {
    const src = fileURLToPath(new URL('../../../src', import.meta.url))
    const naming = readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) => readFileSync(join(src, name), 'utf8').split('\n'))
      .filter((line) => line.includes('@duckdb/node-api'))
    expect(naming.length).toBeGreaterThan(0)
    expect(naming.filter((line) => !/import type|await import\(/.test(line))).toEqual([])
  })
})

const data = process.env.REASONREC_DATA
const samples = data ? join(data, 'format-samples') : null
if (samples === null) console.log('import of the format samples: skipped, REASONREC_DATA is not set')
describe.runIf(samples !== null)('samples of every format', () => {
  const folders =
    samples !== null && existsSync(samples) ? readdirSync(samples).filter((name) => !name.includes('.')) : []

  it('are there', () => expect(folders.length).toBeGreaterThan(20))

  it.each(folders.filter((name) => !['damaged', 'llara', 'tallrec'].includes(name)))(
    '%s imports and comes back from an export with the same bytes',
    async (name) => {
      const { sets, refused, ignored } = await importPath(join(samples as string, name), place())
      expect({ refused, ignored }).toEqual({ refused: [], ignored: [] })
      expect(sets.length).toBeGreaterThan(0)
      for (const { out, interactions } of sets) {
        expect(interactions).toBeGreaterThan(50)
        await expectSameAfterExport(out, tableForms[folders.indexOf(name) % tableForms.length] ?? 'csv')
      }
    },
    60_000,
  )

  it('damaged files are refused, each by its code', async () => {
    const { sets, refused } = await importPath(join(samples as string, 'damaged'), place())
    expect(sets).toEqual([])
    const codes = Object.fromEntries(
      refused.map(({ path, error }) => [path.split(/[\\/]/).at(-1), error.code]),
    )
    expect(codes).toEqual(damaged)
    for (const [name, code] of Object.entries(damaged))
      await expect(importPath(join(samples as string, 'damaged', name), place()), name).rejects.toMatchObject(
        { code },
      )
  })

  it('a pickle is refused without trust and read with it; instructions are no ranking data', async () => {
    const llara = join(samples as string, 'llara')
    await expect(importPath(llara, place())).rejects.toMatchObject({ code: 'RR_DATA_PICKLE' })
    const { sets } = await importPath(llara, place(), { trustPickle: true })
    expect(sets[0]).toMatchObject({ users: 122, titled: 4606, lists: { test: 122 } })
    await expectSameAfterExport(sets[0]?.out ?? '', 'jsonl')
    const tallrec = importPath(join(samples as string, 'tallrec'), place())
    await expect(tallrec).rejects.toMatchObject({ code: 'RR_DATA_NOT_RANKING' })
  })
})

const damaged: Readonly<Record<string, string>> = {
  'empty.csv': 'RR_DATA_EMPTY',
  'latin1_titles.csv': 'RR_DATA_ENCODING',
  'lfs_pointer.csv': 'RR_DATA_LFS_POINTER',
  'page_instead_of_data.dat': 'RR_DATA_WEB_PAGE',
  'truncated.csv': 'RR_DATA_TRUNCATED',
  'truncated.csv.gz': 'RR_DATA_TRUNCATED',
}
