/**
 * The chains of a question as a person sees them, hop by hop: u0 - i0 - u1 - i1 - u0 with titles, ratings and, on the
 * chain that a reasoning walked, its thought beside each hop. The chain walked is the one whose titles most of the
 * thoughts name; a reasoning that cannot be read, or names none of them, stands beside no chain.
 */

import { normaliseTitle } from '../../data/title.js'
import type { Dataset, Instance } from '../../data/types.js'
import type { DrawnChain } from '../method.js'
import { hopsOf } from './chain.js'
import { thoughtsOf } from './interaction-of-thoughts.js'
import { evidenceOf, shownRating } from './question.js'
import { hopName } from './walk.js'

export function drawnChains(
  dataset: Dataset,
  instance: Instance,
  reasoning: string,
  compact: boolean,
): DrawnChain[] {
  const thoughts = thoughtsOf(reasoning, compact)?.map(({ text }) => text) ?? []
  const title = (item: number): string => dataset.items[item]?.title.text ?? ''
  const walks = evidenceOf(instance).chains.map((chain) => ({ chain, hops: hopsOf(chain) }))
  const named = walks.map(({ hops }) =>
    hops.length === thoughts.length
      ? hops.filter(({ item }, hop) => names(thoughts[hop] ?? '', title(item))).length
      : 0,
  )
  const most = Math.max(0, ...named)
  const walked = most === 0 ? -1 : named.indexOf(most)
  return walks.map(({ chain, hops }, index) => ({
    closed: chain.closed,
    hops: hops.map((hop, place) => ({
      hop: hopName(hop),
      title: title(hop.item),
      rating: shownRating(dataset, hop.rating),
      thought: index === walked ? (thoughts[place] ?? null) : null,
    })),
  }))
}

function names(thought: string, title: string): boolean {
  return normaliseTitle(thought).includes(normaliseTitle(title))
}
