import { describe, expect, it } from 'vitest'
import { wordGrounder } from '../../../src/eval/title-grounding.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'

const titles = [
  'The Silent Harbour',
  'Silent Running',
  'Golden Orchard',
  'The Golden Orchard Revisited',
  'Radiowave',
]
const grounder = await wordGrounder(titles.map((title, id) => ({ id: `i${id}`, title: untrusted(title) })))
const rank = async (text: string, among: number[] | null = null) =>
  (await grounder.rank([text], [among && new Set(among)]))[0]

describe('titles most like an answer', () => {
  it('put an equal title first, whatever its case and quotation marks', async () => {
    expect(await rank('“golden orchard”.')).toEqual([2, 3])
    expect((await rank('THE GOLDEN ORCHARD REVISITED'))?.[0]).toBe(3)
  })

  it('find a misspelt title and a part of one', async () => {
    expect((await rank('The Silent Harbor'))?.[0]).toBe(0)
    expect((await rank('radiowav'))?.[0]).toBe(4)
  })

  it('stay among those allowed, and name nothing for nothing', async () => {
    expect(await rank('Golden Orchard', [0, 3])).toEqual([3])
    expect(await rank('Golden Orchard', [0, 4])).toEqual([])
    expect(await rank('quite something else')).toEqual([])
    expect(await rank('')).toEqual([])
  })
})
