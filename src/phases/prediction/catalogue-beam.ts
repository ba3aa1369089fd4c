/**
 * The catalogue searched behind a reasoning (spec 6, I3): which titles the model would write there, by a beam over the trie
 * of all titles (native/decode/beam_search.h). An item's score is the log-prob of its whole title and closing tag, so it
 * is what scoring that title as a candidate gives, bit for bit; items that the beam lost are not in the answer.
 */

import type { ItemIndex } from '../../data/types.js'
import { type Beam, generate, type Sample } from '../../engine/index.js'
import { decodeOptions, type ModelContext, type StageModel } from '../run/context.js'

export interface BeamOptions {
  /** Hypotheses kept; at most so many items are named. */
  readonly width: number
  /** Log-probs over the titles that can still follow instead of the vocabulary. */
  readonly renormalise?: boolean
}

/** Where to search: all tokens after the prompt, up to what the answer says. */
export interface SearchRequest {
  readonly prompt: Int32Array
  readonly prefixes: readonly Int32Array[]
  /** Items that must not be named: a history that is masked. */
  readonly excluded?: readonly ItemIndex[]
}

/** Items by falling score, and their scores: sums of token log-probs, natural. */
export interface FoundItems {
  readonly items: readonly ItemIndex[]
  readonly scores: readonly number[]
}

/** found[request][prefix]. */
export async function searchCatalogue(
  context: ModelContext,
  { model, adapters }: StageModel,
  requests: readonly SearchRequest[],
  options: BeamOptions,
): Promise<FoundItems[][]> {
  const groups = requests.map(({ prompt, prefixes, excluded }) => ({
    prompt,
    // Nothing is sampled, so the streams are never read.
    samples: prefixes.map((given) => ({ stream: 0n, given })),
    beam: catalogueBeam(context, options, excluded),
  }))
  const samples = await generate(model, adapters, groups, [], decodeOptions(context, 0n), {
    signal: context.signal,
  })
  return samples.map((group) => group.map(foundItems))
}

/** For DecodeGroup.beam, where the same call samples what the search stands behind. */
export function catalogueBeam(
  { encoding }: Pick<ModelContext, 'encoding'>,
  { width, renormalise = false }: BeamOptions,
  excluded: readonly ItemIndex[] = [],
): Beam {
  return { trie: encoding.catalogue().trie, width, renormalise, excluded }
}

/** What such a beam left in a sample: a leaf of the catalogue's trie is an item. */
export function foundItems({ beam, beamScores }: Pick<Sample, 'beam' | 'beamScores'>): FoundItems {
  const found = beam.findIndex((leaf) => leaf < 0)
  const count = found < 0 ? beam.length : found
  return { items: Array.from(beam.subarray(0, count)), scores: Array.from(beamScores.subarray(0, count)) }
}
