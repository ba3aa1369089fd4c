/** Bad input: one clear error each, with code, place and remedy. */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadDataset } from '../../../src/data/load.js'
import { ReasonrecError } from '../../../src/engine/errors.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

let root: string
let made = 0
let directory: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reasonrec-malformed-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))
beforeEach(async () => {
  directory = join(root, `set-${made++}`)
  await writeSyntheticData(directory, { users: 12, items: 80, seed: 3 })
})

const put = (name: string, content: string | Buffer): Promise<void> =>
  writeFile(join(directory, name), content)

async function refusal(): Promise<ReasonrecError> {
  const error = await loadDataset(directory).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(ReasonrecError)
  const refused = error as ReasonrecError
  expect(refused.details.expected, refused.message).toBeTruthy()
  expect(refused.details.got, refused.message).toBeTruthy()
  expect(refused.details.remedy, refused.message).toBeTruthy()
  expect(refused.toLine()).not.toContain('\n')
  return refused
}

async function expectRefusal(code: string, message: RegExp): Promise<void> {
  const { code: own, message: text } = await refusal()
  expect(own).toBe(code)
  expect(text).toMatch(message)
}

describe('files that are not there', () => {
  it('names the folder', async () => {
    directory = join(root, 'nowhere')
    await expectRefusal('RR_DATA_NOT_FOUND', /nowhere is not there/)
  })
  it('lists what was looked for', async () => {
    await rm(join(directory, 'ratings.csv'))
    const { code, details } = await refusal()
    expect(code).toBe('RR_DATA_NOT_FOUND')
    for (const name of ['ratings.csv', 'ratings.csv.gz', 'interactions.tsv', 'interactions.jsonl'])
      expect(details.expected).toContain(name)
  })
})

describe('files that are something else', () => {
  it('a Git LFS pointer', async () => {
    await put('ratings.csv', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n')
    await expectRefusal('RR_DATA_LFS_POINTER', /ratings\.csv:1: .*LFS pointer/)
  })
  it('a web page', async () => {
    await put('items.csv', '\n<!DOCTYPE html>\n<html>404</html>')
    await expectRefusal('RR_DATA_WEB_PAGE', /items\.csv:1: .*web page/)
  })
  it('a web page named .gz', async () => {
    await rm(join(directory, 'items.csv'))
    await put('items.csv.gz', '<html>404</html>')
    await expectRefusal('RR_DATA_WEB_PAGE', /items\.csv\.gz:1: .*web page/)
  })
  it('a gzip file cut short, also where the rows before the cut are whole', async () => {
    const text = await readFile(join(directory, 'ratings.csv'))
    await rm(join(directory, 'ratings.csv'))
    const packed = gzipSync(text)
    for (const keep of [packed.length - 4, Math.floor(packed.length / 2)]) {
      await put('ratings.csv.gz', packed.subarray(0, keep))
      await expectRefusal('RR_DATA_TRUNCATED', /ratings\.csv\.gz: this gzip file is cut short/)
    }
  })
  it('a gzip file with a changed byte', async () => {
    const packed = gzipSync(await readFile(join(directory, 'ratings.csv')))
    await rm(join(directory, 'ratings.csv'))
    packed[packed.length - 6] = (packed.at(-6) as number) ^ 0xff
    await put('ratings.csv.gz', packed)
    await expectRefusal('RR_DATA_MALFORMED', /damaged/)
  })
  it('Latin-1 bytes, with their line', async () => {
    await put(
      'items.csv',
      Buffer.concat([Buffer.from('item,title\ni1,Plain\ni2,'), Buffer.from([0x4c, 0xe9, 0x6f, 0x6e, 0x0a])]),
    )
    await expectRefusal('RR_DATA_ENCODING', /items\.csv:3: this line is not UTF-8/)
  })
  it('a binary file', async () => {
    await put('ratings.csv', Buffer.from('ABC\0\0\0'))
    await expectRefusal('RR_DATA_BINARY', /binary/)
  })
  it('an empty file and a file with a header only', async () => {
    await put('ratings.csv', '')
    await expectRefusal('RR_DATA_EMPTY', /ratings\.csv is empty/)
    await put('ratings.csv', 'user,item,rating,timestamp\n')
    await expectRefusal('RR_DATA_EMPTY', /ratings\.csv has no rows/)
  })
})

describe('rows', () => {
  const rows = async (change: (lines: string[]) => string[]): Promise<void> => {
    const lines = (await readFile(join(directory, 'ratings.csv'), 'utf8')).trim().split('\n')
    await put('ratings.csv', change(lines).join('\n'))
  }

  it('cut in the middle', async () => {
    await rows((lines) => [...lines.slice(0, 9), 'u1,i'])
    await expectRefusal('RR_DATA_TRUNCATED', /ratings\.csv:10: the file ends in the middle of a row/)
  })
  it('with a time that is none', async () => {
    await rows((lines) => lines.with(4, 'u1,i1,3,yesterday'))
    await expectRefusal('RR_DATA_MALFORMED', /ratings\.csv:5: a timestamp that is no time/)
  })
  it('with a rating that is none', async () => {
    await rows((lines) => lines.with(2, 'u1,i1,good,5'))
    await expectRefusal('RR_DATA_MALFORMED', /ratings\.csv:3: a rating/)
  })
  it('without a user', async () => {
    await rows((lines) => lines.with(2, ',i1,3,5'))
    await expectRefusal('RR_DATA_MALFORMED', /ratings\.csv:3: an empty user/)
  })
  it('with an item that items.csv lacks', async () => {
    await rows((lines) => lines.with(3, 'u1,i999,3,5'))
    await expectRefusal('RR_DATA_UNKNOWN_ITEM', /ratings\.csv:4: item i999 has no row/)
  })
  it('without a header', async () => {
    await rows((lines) => lines.slice(1))
    await expectRefusal('RR_DATA_MALFORMED', /ratings\.csv:1: there is no user column/)
  })
  it('of JSON that is cut', async () => {
    await rm(join(directory, 'ratings.csv'))
    await put('ratings.jsonl', '{"user":"u1","item":"i1"}\n\n{"user":"u1","it')
    await expectRefusal('RR_DATA_TRUNCATED', /ratings\.jsonl:3: the file ends in the middle of a row/)
  })
})

describe('data that is too small', () => {
  it('fewer items than a list needs', async () => {
    await put(
      'ratings.csv',
      ['user,item', ...Array.from({ length: 10 }, (_, item) => `u1,i${item}`)].join('\n'),
    )
    await expectRefusal('RR_DATA_TOO_FEW_ITEMS', /too few items for lists of 20/)
  })
  it('no user with a history', async () => {
    await put(
      'ratings.csv',
      ['user,item', ...Array.from({ length: 40 }, (_, item) => `u${item},i${item}`)].join('\n'),
    )
    await expectRefusal('RR_DATA_EMPTY', /no train instance/)
  })
})

const samples = process.env.REASONREC_DATA
  ? join(process.env.REASONREC_DATA, 'format-samples', 'damaged')
  : null
describe('damaged samples', () => {
  if (!samples) console.log('damaged samples: skipped, REASONREC_DATA is not set')
  it.skipIf(!samples)('are refused or named', async () => {
    const folder = samples as string
    if (!existsSync(folder)) throw new Error(`REASONREC_DATA holds no ${folder}`)
    const cases: readonly [string, string, string, RegExp][] = [
      ['lfs_pointer.csv', 'ratings.csv', 'RR_DATA_LFS_POINTER', /LFS/],
      ['page_instead_of_data.dat', 'ratings.csv', 'RR_DATA_WEB_PAGE', /web page/],
      ['empty.csv', 'ratings.csv', 'RR_DATA_EMPTY', /empty/],
      ['truncated.csv', 'ratings.csv', 'RR_DATA_TRUNCATED', /ratings\.csv:51: the file ends/],
      ['truncated.csv.gz', 'ratings.csv.gz', 'RR_DATA_TRUNCATED', /cut short/],
      ['latin1_titles.csv', 'items.csv', 'RR_DATA_ENCODING', /items\.csv:2: .*UTF-8/],
    ]
    for (const [file, name, code, message] of cases) {
      directory = join(root, `set-${made++}`)
      await writeSyntheticData(directory, { users: 6, items: 40, seed: 3 })
      if (name.endsWith('.gz')) await rm(join(directory, 'ratings.csv'))
      await put(name, await readFile(join(folder, file)))
      await expectRefusal(code, message)
    }
  })
})
