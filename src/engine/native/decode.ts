/** Sampling and scoring: native/decode. */

import type { NativeAdapter } from './model.js'

export interface NativeSampling {
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly minP: number
  readonly repetitionPenalty: number
}

export type NativeScriptStep =
  | {
      readonly kind: 'free'
      readonly maxNew: number
      readonly sampling: NativeSampling
      readonly stopTokens: Int32Array
      readonly stopTokenEndsSample: boolean
      readonly stopStrings: readonly string[]
    }
  | { readonly kind: 'given'; readonly ids: Int32Array; readonly idsIfUnclosed: Int32Array }
  | { readonly kind: 'choose'; readonly sampling: NativeSampling }

export interface NativeTrie {
  readonly sequences: number
}

export interface NativeGroup {
  readonly prompt: Int32Array
  /** One per sample; stream as a bigint of 64 bits. */
  readonly samples: readonly { readonly stream: bigint; readonly given: Int32Array }[]
  readonly trie: NativeTrie | null
  readonly candidates: readonly Int32Array[]
  readonly beam?: NativeBeam | null
}

/** native/decode/beam_search.h. */
export interface NativeBeam {
  readonly trie: NativeTrie
  readonly width: number
  /** Log-probs over the tokens that the trie allows instead of the vocabulary. */
  readonly renormalise: boolean
  /** Sequences of the trie that must not come out. */
  readonly excluded: Int32Array
}

export type Finish = 'none' | 'stop_token' | 'stop_string' | 'length'

export interface NativeSample {
  /** Every token after the prompt. */
  readonly tokens: Int32Array
  /** Per token: 0 sampled, 1 given, 2 chosen from the trie. */
  readonly kinds: Uint8Array
  /** Natural log, per token; 0 where given. */
  readonly logprobs: Float32Array
  /** Nats, per token; 0 where given. */
  readonly entropies: Float32Array
  /** One per script step. */
  readonly finishes: readonly Finish[]
  /** Index of the chosen sequence, -1 without a choose step. */
  readonly choice: number
  readonly candidateJoint: Float32Array
  readonly candidateMean: Float32Array
  /** Mean over a candidate's tokens of their probability. */
  readonly candidateProb: Float32Array
  /** Sequences of the beam's trie, best first, padded with -1 to its width; empty without a beam. */
  readonly beam: Int32Array
  /** Sums of their token log-probs, padded with -Infinity. */
  readonly beamScores: Float64Array
}

export interface NativeDecodeOptions {
  readonly seed: bigint
  readonly maxRows: number
  readonly sharePrefix: boolean
  readonly vocabularyBytes: { readonly offsets: Float64Array; readonly bytes: Uint8Array } | null
}

export interface NativeAdapters {
  readonly frozen: NativeAdapter | null
  readonly trained: NativeAdapter | null
}

export interface NativeSequenceLogprobs {
  /** Per sequence (length - 1): log p(ids[i + 1] | ids[0..i]). */
  readonly logprobs: Float32Array[]
  /** Per sequence (length), nats: of the distribution after every token. */
  readonly entropies: Float32Array[]
  /** Per sequence (length x vocab), only if asked for. */
  readonly logits: Float32Array[] | null
}
