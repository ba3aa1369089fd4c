/**
 * Decoding and scoring: groups of samples in, finished samples out (native/decode/engine.h), and the
 * log-probs of whole sequences. A sample is a pure function of (seed, stream): neither the batch nor
 * `maxRows` nor the thread count changes it.
 */

import type { Adapter } from './adapter.js'
import { callNative, type JobOptions, runJob } from './job.js'
import { loadAddon } from './load.js'
import type { Model } from './model.js'
import type {
  NativeAdapters,
  NativeDecodeOptions,
  NativeGroup,
  NativeSample,
  NativeSampling,
  NativeScriptStep,
  NativeSequenceLogprobs,
  NativeTrie,
} from './native.js'

export type TokenIds = Int32Array | readonly number[]

/** The adapters a forward runs with, in this order: none, the frozen one, the trained one, or both. */
export interface Adapters {
  readonly frozen?: Adapter | null | undefined
  readonly trained?: Adapter | null | undefined
}

/** Temperature 0 is greedy; what is left out is off. */
export interface Sampling {
  readonly temperature: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly repetitionPenalty?: number
}

export type ScriptStep =
  /** Free tokens until a stop or `maxNew`. Stop tokens end the whole sample unless told otherwise. */
  | {
      readonly kind: 'free'
      readonly maxNew: number
      readonly sampling: Sampling
      readonly stopTokens?: TokenIds
      readonly stopTokenEndsSample?: boolean
      readonly stopStrings?: readonly string[]
    }
  /** Tokens appended as they are; `idsIfUnclosed` instead where the free step before met no stop string. */
  | { readonly kind: 'given'; readonly ids: TokenIds; readonly idsIfUnclosed?: TokenIds }
  /** One of the group's trie sequences, renormalised over the allowed tokens. */
  | { readonly kind: 'choose'; readonly sampling: Sampling }

export interface DecodeGroup {
  readonly prompt: TokenIds
  readonly samples: readonly { readonly stream: bigint; readonly given?: TokenIds }[]
  readonly trie?: Trie | null | undefined
  /** Scored at the end of each finished sample, everything before them shared. */
  readonly candidates?: readonly TokenIds[] | undefined
  /** Searched in the same place: Sample.beam and beamScores. */
  readonly beam?: Beam | undefined
  /**
   * 0 or more: Sample.plainLogprobs, each token's log-prob at temperature 1 over the whole vocabulary, and so many
   * likeliest tokens with theirs (topIds, topLogprobs).
   */
  readonly top?: number | undefined
}

/**
 * Which of a trie's sequences the model would write, best first: a constrained beam without length penalty.
 * With width >= the number of sequences all of them come out, with the bits of `candidates`.
 */
export interface Beam {
  readonly trie: Trie
  /** Hypotheses kept, and sequences returned. */
  readonly width: number
  /** Scores over the tokens that the trie allows instead of the vocabulary. */
  readonly renormalise?: boolean
  /** Sequences of the trie that must not come out. */
  readonly excluded?: readonly number[]
}

export interface DecodeOptions {
  readonly seed: bigint
  /** Rows decoded at once; bounds memory, never changes a result. */
  readonly maxRows: number
  /** False computes every sample's prompt on its own: the check of sharing. */
  readonly sharePrefix?: boolean
  /** Needed for stop strings. */
  readonly vocabularyBytes?: NativeDecodeOptions['vocabularyBytes'] | undefined
}

export type Sample = NativeSample
export type Trie = NativeTrie

/** Sequences that an answer may take. @throws RR_TRIE_EMPTY, RR_TRIE_NOT_PREFIX_FREE, RR_TRIE_DUPLICATE */
export function createTrie(sequences: readonly TokenIds[]): Trie {
  return callNative(() => loadAddon().createTrie(sequences.map(toIds)))
}

/**
 * samples[group][sample]. Progress counts samples and sampled tokens.
 * @throws RR_PROMPT_TOO_LONG, RR_TOKEN_OUT_OF_RANGE, RR_SCRIPT, RR_OUT_OF_MEMORY, RR_CANCELLED
 */
export async function generate(
  model: Model,
  adapters: Adapters,
  groups: readonly DecodeGroup[],
  script: readonly ScriptStep[],
  options: DecodeOptions,
  job?: JobOptions,
): Promise<Sample[][]> {
  const nativeGroups = groups.map(toGroup)
  const nativeOptions: NativeDecodeOptions = {
    seed: options.seed,
    maxRows: options.maxRows,
    sharePrefix: options.sharePrefix ?? true,
    vocabularyBytes: options.vocabularyBytes ?? null,
  }
  return runJob(job, (control) =>
    loadAddon().generate(
      model.native,
      toNative(adapters),
      nativeGroups,
      script.map(toStep),
      nativeOptions,
      control,
    ),
  )
}

/**
 * log p(ids[i + 1] | ids[0..i]) and entropy (nats) at temperature 1 of whole sequences; with `logits`
 * also (length x vocab) raw logits per sequence. Progress counts sequences.
 * @throws RR_PROMPT_TOO_LONG, RR_TOKEN_OUT_OF_RANGE, RR_OUT_OF_MEMORY, RR_CANCELLED
 */
export async function sequenceLogprobs(
  model: Model,
  adapters: Adapters,
  sequences: readonly TokenIds[],
  options?: JobOptions & { readonly logits?: boolean },
): Promise<NativeSequenceLogprobs> {
  return runJob(options, (control) =>
    loadAddon().sequenceLogprobs(
      model.native,
      toNative(adapters),
      sequences.map(toIds),
      options?.logits ?? false,
      control,
    ),
  )
}

export function toIds(ids: TokenIds): Int32Array {
  return ids instanceof Int32Array ? ids : Int32Array.from(ids)
}

export function toNative(adapters: Adapters): NativeAdapters {
  return { frozen: adapters.frozen?.native ?? null, trained: adapters.trained?.native ?? null }
}

export function toGroup(group: DecodeGroup): NativeGroup {
  return {
    prompt: toIds(group.prompt),
    samples: group.samples.map(({ stream, given }) => ({ stream, given: toIds(given ?? []) })),
    trie: group.trie ?? null,
    candidates: (group.candidates ?? []).map(toIds),
    beam: group.beam
      ? { renormalise: false, ...group.beam, excluded: toIds(group.beam.excluded ?? []) }
      : null,
    top: group.top ?? -1,
  }
}

function toSampling(sampling: Sampling): NativeSampling {
  return { topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, ...sampling }
}

export function toStep(step: ScriptStep): NativeScriptStep {
  switch (step.kind) {
    case 'free':
      return {
        kind: 'free',
        maxNew: step.maxNew,
        sampling: toSampling(step.sampling),
        stopTokens: toIds(step.stopTokens ?? []),
        stopTokenEndsSample: step.stopTokenEndsSample ?? true,
        stopStrings: step.stopStrings ?? [],
      }
    case 'given':
      return { kind: 'given', ids: toIds(step.ids), idsIfUnclosed: toIds(step.idsIfUnclosed ?? step.ids) }
    case 'choose':
      return { kind: 'choose', sampling: toSampling(step.sampling) }
  }
}
