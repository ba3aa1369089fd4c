/**
 * Asking a model for responses in one of two styles:
 *   free         the model writes everything, from "<think>" to "</answer>" or the end of its turn;
 *   constrained  "<think>" is given, the model thinks until "</think>", "<answer>" is given, and the answer
 *                is chosen among the method's choices by a trie (log-probs renormalised over allowed tokens).
 * And the likelihood of every choice after a given prefix (spec 9.2).
 */

import type { Instance } from '../../data/types.js'
import {
  type Adapters,
  createTrie,
  type DecodeGroup,
  generate,
  type Model,
  type Sample,
  type Sampling,
  type ScriptStep,
  type Trie,
} from '../../engine/index.js'
import type { PromptMode } from '../../methods/method.js'
import { decodeOptions, type ModelContext, type StageModel } from '../run/context.js'

export type AnswerStyle = 'free' | 'constrained'

export interface Ask {
  readonly instance: Instance
  readonly mode: PromptMode
  /** One per sample. */
  readonly streams: readonly bigint[]
}

export interface AskOptions {
  readonly style: AnswerStyle
  /** Longest reasoning (constrained) or response (free), tokens. */
  readonly maxNew: number
  readonly sampling: Sampling
  readonly seed: bigint
  /** Constrained: also score every choice where the answer's is made (Sample.candidateJoint, candidateMean). */
  readonly scored?: boolean
  /** Tokens sampled since the last call. */
  readonly onTokens?: ((tokens: number) => void) | undefined
}

export interface Response {
  readonly sample: Sample
  /** For the parser: tags included; a reasoning that did not close itself stays open here. */
  readonly text: string
  /** The model ended the reasoning (constrained) or the response (free) by itself. */
  readonly closed: boolean
  /** Tokens the model itself wrote. */
  readonly written: number
  /** First token chosen from the trie, -1 in the free style. */
  readonly choiceBegin: number
}

export interface AskedGroup {
  readonly ask: Ask
  readonly prompt: Int32Array
  readonly trie: Trie | null
  readonly responses: readonly Response[]
}

export async function askResponses(
  context: ModelContext,
  stage: StageModel,
  asks: readonly Ask[],
  options: AskOptions,
): Promise<AskedGroup[]> {
  const constrained = options.style === 'constrained'
  const groups = asks.map(({ instance, mode, streams }) => {
    const choices = constrained ? context.encoding.choices(instance) : []
    return {
      prompt: context.encoding.prompt(instance, mode),
      samples: streams.map((stream) => ({
        stream,
        ...(constrained && { given: context.encoding.frame.thinkOpen }),
      })),
      trie: constrained ? createTrie(choices) : null,
      candidates: options.scored ? choices : [],
    }
  })
  const samples = await generate(
    stage.model,
    stage.adapters,
    groups,
    script(context, options),
    decodeOptions(context, options.seed),
    {
      signal: context.signal,
      onProgress: tokenCounter(options.onTokens),
    },
  )
  return asks.map((ask, index) => ({
    ask,
    prompt: groups[index]!.prompt,
    trie: groups[index]!.trie,
    responses: samples[index]!.map((sample) => readSample(context, sample, options.style)),
  }))
}

function script(context: ModelContext, { style, maxNew, sampling }: AskOptions): ScriptStep[] {
  const { method, tokenizer, encoding } = context
  const free = { kind: 'free', maxNew, sampling, stopTokens: tokenizer.eosIds } as const
  if (style === 'free') return [{ ...free, stopStrings: [method.form.answerClose] }]
  return [
    { ...free, stopTokenEndsSample: false, stopStrings: [method.form.thinkClose.trim()] },
    { kind: 'given', ids: encoding.frame.answerOpen, idsIfUnclosed: encoding.frame.forcedAnswer },
    { kind: 'choose', sampling: { temperature: sampling.temperature } },
    // A choice that does not close itself is closed for the parser; given tokens are never trained.
    ...(method.form.choiceCloses ? [] : [{ kind: 'given', ids: encoding.frame.answerClose } as const]),
  ]
}

function readSample(context: ModelContext, sample: Sample, style: AnswerStyle): Response {
  const kinds = sample.kinds
  const choiceBegin = kinds.indexOf(2)
  const written = kinds.reduce((count, kind) => count + (kind === 0 ? 1 : 0), 0)
  if (style === 'free') {
    const ended = sample.finishes[0] === 'stop_string' || sample.finishes[0] === 'stop_token'
    return {
      sample,
      text: context.tokenizer.decode(withoutEnd(context, sample.tokens)),
      closed: ended,
      written,
      choiceBegin: -1,
    }
  }
  const closed = sample.finishes[0] === 'stop_string'
  const lastThought = kinds.lastIndexOf(0)
  const shown = closed ? sample.tokens : sample.tokens.subarray(0, lastThought + 1)
  return { sample, text: context.tokenizer.decode(shown), closed, written, choiceBegin }
}

/** A response ends with a token that shows nothing. */
function withoutEnd(context: ModelContext, tokens: Int32Array): Int32Array {
  const last = tokens.at(-1)
  return last !== undefined && context.tokenizer.eosIds.includes(last) ? tokens.subarray(0, -1) : tokens
}

/** Choices to be scored after each prefix (all tokens after the prompt up to what the answer says). */
export interface ScoreRequest {
  readonly prompt: Int32Array
  readonly prefixes: readonly Int32Array[]
  readonly choices: readonly Int32Array[]
}

export interface ChoiceScores {
  /** Sum and mean of token log-probs (nats), temperature 1, full vocabulary; one per choice. */
  readonly joint: Float32Array
  readonly mean: Float32Array
  /** Mean of token probabilities. */
  readonly prob: Float32Array
}

/** scores[request][prefix]. */
export async function scoreChoices(
  context: ModelContext,
  model: Model,
  adapters: Adapters,
  requests: readonly ScoreRequest[],
): Promise<ChoiceScores[][]> {
  const groups: DecodeGroup[] = requests.map(({ prompt, prefixes, choices }) => ({
    prompt,
    // Nothing is sampled, so the streams are never read.
    samples: prefixes.map((given) => ({ stream: 0n, given })),
    candidates: choices,
  }))
  const samples = await generate(model, adapters, groups, [], decodeOptions(context, 0n), {
    signal: context.signal,
  })
  return samples.map((group) => group.map(choiceScores))
}

/** A sample's scores of its group's candidates. */
export function choiceScores({ candidateJoint, candidateMean, candidateProb }: Sample): ChoiceScores {
  return { joint: candidateJoint, mean: candidateMean, prob: candidateProb }
}

/** Turns a job's running total of tokens into increments. */
function tokenCounter(onTokens: AskOptions['onTokens']) {
  let seen = 0
  return (
    onTokens &&
    (({ tokens }: { readonly tokens: number }) => {
      if (tokens > seen) onTokens(tokens - seen)
      seen = tokens
    })
  )
}

/** Titles of an instance's lists, for a person. */
export function titlesOf(context: Pick<ModelContext, 'dataset'>, items: readonly number[]): string[] {
  return items.map((item) => context.dataset.items[item]?.title.text ?? '')
}
