/** A synthetic dataset (test/fixtures/synthetic-data.ts) for the tests of methods, rewards and the teacher, and one made by hand. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadDataset } from '../../../src/data/load.js'
import type { Dataset, Instance } from '../../../src/data/types.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

export async function syntheticWorld(hostile = false): Promise<Dataset> {
  const folder = mkdtempSync(join(tmpdir(), 'world-'))
  await writeSyntheticData(folder, {
    users: 150,
    items: 120,
    seed: 3,
    hostile,
    noun: 'story',
    userSplit: true,
  })
  try {
    return await loadDataset(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const titles = [
  'The Silent Harbour', // 0: history
  'Golden Orchard', // 1: history
  'Radiowave', // 2: history, one word
  'Northern Tide', // 3: target
  'Paper Lantern', // 4: candidate
  'Velvet Engine', // 5: candidate
  'Hollow Meadow', // 6: candidate
  'Crimson Parlour', // 7: neither
  'In the End', // 8: neither, ordinary words
  'The Silent Harbour Revisited', // 9: neither, longer than item 0
]

export const instance: Instance = {
  id: 'train/u1/4',
  user: 'u1',
  history: [0, 1, 2],
  target: 3,
  candidates: [4, 3, 5, 6],
}

export const handMade: Dataset = {
  name: 'by hand',
  noun: 'story',
  items: titles.map((title, index) => ({ id: `i${index}`, title: untrusted(title) })),
  trainInteractions: [],
  train: [instance],
  valid: [],
  test: [],
  notes: [],
} as unknown as Dataset

/** Sixty words at most, cites the history, names the target last. */
export const honest =
  'The history moves from The Silent Harbour to quieter places such as Golden Orchard, so this reader seems to like slow tales near water and land. Of the options, one returns to the sea and keeps that calm mood, which is why I would choose Northern Tide next.'

export function written(reasoning: string, answer = 'Northern Tide'): string {
  return `<think>\n${reasoning}\n</think>\n<answer>${answer}</answer>`
}
