/** Sampling and scoring: native/decode. */

import type { Control } from './control.js'
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
  /** 0 or more: log-probs at temperature 1 of every token, and so many likeliest tokens. */
  readonly top?: number
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
  /** Where NativeGroup.top asks: per token, at temperature 1 over the whole vocabulary; 0 where not freely sampled. */
  readonly plainLogprobs: Float32Array
  /** (tokens x top), best first; -1 where not freely sampled. */
  readonly topIds: Int32Array
  readonly topLogprobs: Float32Array
}

/** One sample of a group of a session: all of it, or what has come since the last step. */
export interface NativeSessionSample {
  readonly group: number
  readonly sample: number
  readonly result: NativeSample
}

/** native/decode/session.h. One step at a time; what joins or is dropped takes effect with the next one. */
export interface NativeSession {
  /** Throws what generate throws of a group, at once. `watched`: told in `grown`. */
  join(
    id: number,
    group: NativeGroup,
    script: readonly NativeScriptStep[],
    seed: bigint,
    watched: boolean,
  ): void
  drop(id: number): void
  step(control: Control): Promise<{
    readonly finished: readonly NativeSessionSample[]
    readonly grown: readonly NativeSessionSample[]
    /** Nothing is left to do. */
    readonly idle: boolean
  }>
  close(): void
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
