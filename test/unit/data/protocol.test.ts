/** Candidate protocols: names, whole catalogue, windows, repeats, stored lists, further seeds. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { candidateLines } from '../../../src/data/candidate-file.js'
import { withCandidateSeed } from '../../../src/data/candidates.js'
import { type LoadOptions, loadDataset } from '../../../src/data/load.js'
import { candidateProtocol } from '../../../src/data/protocol.js'
import type { Dataset } from '../../../src/data/types.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

let root: string
let plain: string
let repeated: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reasonrec-protocol-'))
  plain = join(root, 'plain')
  await writeSyntheticData(plain, { users: 30, items: 150, seed: 3 })
  repeated = join(root, 'repeated')
  await writeSyntheticData(repeated, { users: 4, items: 60, seed: 3 })
  // Positions 0.. of each user: a b c d a | e f g h i j k l m n a | n
  const order = [...'abcdaefghijklmnan'].map((letter) => letter.charCodeAt(0) - 97)
  const rows = [0, 1, 2].flatMap((user) => order.map((item, place) => `u${user},i${item},,${place + 1}`))
  for (let place = 0; place < 10; place++) rows.push(`u3,i${20 + place},,${place + 1}`)
  await writeFile(join(repeated, 'ratings.csv'), `user,item,rating,timestamp\n${rows.join('\n')}\n`)
})
afterAll(() => rm(root, { recursive: true, force: true }))

const lists = ({ test }: Dataset) => test.map(({ candidates }) => candidates)

describe('protocol names', () => {
  it('say length, popularity and catalogue', () => {
    expect(candidateProtocol('C20')).toEqual({ name: 'C20', size: 20, popular: false, full: false })
    expect(candidateProtocol('C20pop')).toMatchObject({ size: 20, popular: true })
    expect(candidateProtocol('C101')).toMatchObject({ size: 101, popular: false })
    expect(candidateProtocol('full')).toMatchObject({ full: true })
    for (const name of ['C', 'C0', 'c20', 'C20POP', 'pop', 'C20pops', 'fuller'])
      expect(() => candidateProtocol(name), name).toThrow(
        expect.objectContaining({ code: 'RR_CONFIG_VALUE' }),
      )
  })
})

describe('lists', () => {
  it('of C100 hold 100 items, of full the whole catalogue in one shared array', async () => {
    const hundred = await loadDataset(plain, { protocol: 'C100' })
    expect(new Set(hundred.test.map(({ candidates }) => new Set(candidates).size))).toEqual(new Set([100]))
    const full = await loadDataset(plain, { protocol: 'full' })
    expect(full.fullRanking).toBe(true)
    for (const { candidates, target } of [...full.valid, ...full.test]) {
      expect(candidates).toBe(full.negatives?.universe)
      expect(candidates).toContain(target)
    }
    expect(full.train[0]?.candidates).toHaveLength(20)
  })

  it('of window exclusion hold own items from elsewhere, never the history shown', async () => {
    const dataset = await loadDataset(plain, { exclude: 'window', protocol: 'C100', maxHistory: 3 })
    let own = 0
    for (const { user, history, target, candidates } of dataset.test) {
      for (const item of history) expect(candidates).not.toContain(item)
      const chosen = new Set(dataset.userItems?.get(user))
      own += candidates.filter((item) => item !== target && chosen.has(item)).length
    }
    expect(own).toBeGreaterThan(0)
  })

  it('of another seed differ, those of a stored file do not', async () => {
    const dataset = await loadDataset(plain)
    const other = withCandidateSeed(dataset, 'test', 5)
    expect(other?.map(({ candidates }) => candidates)).toEqual(
      lists(await loadDataset(plain, { candidateSeed: 5 })),
    )
    const file = join(root, 'lists.jsonl')
    const text = [...candidateLines(dataset, { test: other ?? [] }, 'C20', 5)].join('\n')
    await writeFile(file, `${text}\n`)
    const stored = await loadDataset(plain, { candidateFile: file })
    expect(stored.test).toEqual(other)
    expect(stored.valid).toEqual(dataset.valid)
    expect(stored.fixedLists).toEqual(['test'])
    expect(withCandidateSeed(stored, 'test', 6)).toBeNull()
    expect(withCandidateSeed(stored, 'valid', 6)).not.toBeNull()
  })

  it('of a file that does not fit are refused with the place', async () => {
    const dataset = await loadDataset(plain)
    const whole = [...candidateLines(dataset, { test: dataset.test }, 'C20', 0)]
    const [head = '', first = '', ...rest] = whole
    const broken: readonly [string, readonly string[], string][] = [
      ['cut short', [head, first], 'RR_DATA_MALFORMED'],
      ['no head', rest, 'RR_DATA_MALFORMED'],
      [
        'another target',
        [head, first.replace(/"target":"i\d+"/, '"target":"i0"'), ...rest],
        'RR_DATA_CANDIDATES',
      ],
      [
        'unknown item',
        [head, first.replace('"candidates":["', '"candidates":["x'), ...rest],
        'RR_DATA_CANDIDATES',
      ],
      ['another instance', [head, first.replace('test/u', 'test/v'), ...rest], 'RR_DATA_CANDIDATES'],
      ['no JSON', [head, `${first}}`, ...rest], 'RR_DATA_MALFORMED'],
    ]
    for (const [name, lines, code] of broken) {
      const file = join(root, `${name}.jsonl`)
      await writeFile(file, lines.join('\n'))
      await expect(loadDataset(plain, { candidateFile: file }), name).rejects.toMatchObject({ code })
    }
  })
})

describe('repeat targets', () => {
  const places = async (options: LoadOptions): Promise<number[]> => {
    const dataset = await loadDataset(repeated, { protocol: 'C3', ...options })
    const own = [...dataset.train, ...dataset.valid, ...dataset.test].filter(({ user }) => user === 'u0')
    return own.map(({ position }) => position ?? -1).sort((a, b) => a - b)
  }
  // a stands at 0, 4 and 15, n at 14 and 16; the ten before 15 are f..n without a.
  it('are dropped from the history shown, dropped everywhere, or kept', async () => {
    expect(await places({})).toEqual([3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    expect(await places({ repeats: 'drop_all' })).toEqual([3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    expect(await places({ repeats: 'keep' })).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
  })

  it('are counted in the notes where they are kept', async () => {
    const { notes } = await loadDataset(repeated, { protocol: 'C3', repeats: 'keep' })
    expect(notes.join('\n')).toMatch(/9 of 49 targets are repeats .*, 6 of them stand in the history shown/)
  })
})
