/** Guessing: every candidate equal, so the `expected` tie rule gives the closed form of spec 7.4 without noise. */

import type { Baseline } from './baseline.js'

export function randomBaseline(): Baseline {
  return { id: 'random', score: ({ candidates }) => candidates.map(() => 0) }
}
