/** What all ways to answer share: the script of thinking, the reasoning as text, seeds and lengths. */

import type { Sample, Sampling, ScriptStep } from '../../engine/index.js'
import type { ModelContext } from '../run/context.js'
import { derivedSeed } from '../run/streams.js'

export const greedy = { temperature: 0 } as const

/** Think until the closing tag, which is set by force where it does not come, then open the answer. */
export function thinkingScript(context: ModelContext, sampling: Sampling): ScriptStep[] {
  const { encoding, method, tokenizer } = context
  return [
    {
      kind: 'free',
      maxNew: maxNew(context),
      sampling,
      stopTokens: tokenizer.eosIds,
      stopTokenEndsSample: false,
      stopStrings: [method.form.thinkClose.trim()],
    },
    { kind: 'given', ids: encoding.frame.answerOpen, idsIfUnclosed: encoding.frame.forcedAnswer },
  ]
}

/** Of a sample of that script. */
export function thinkingOf(
  context: ModelContext,
  sample: Sample,
): { readonly reasoning: string; readonly parsed: boolean; readonly tokens: number } {
  return {
    reasoning: thought(context, sample),
    parsed: sample.finishes[0] === 'stop_string',
    tokens: sample.kinds.reduce((count, kind) => count + (kind === 0 ? 1 : 0), 0),
  }
}

/** The reasoning as text, without its tags. */
export function thought(context: ModelContext, sample: Pick<Sample, 'tokens' | 'kinds'>): string {
  const text = context.tokenizer.decode(
    sample.tokens.filter((_, index) => sample.kinds[index] === 0),
    { skipSpecial: true },
  )
  const close = text.indexOf(context.method.form.thinkClose.trim())
  return (close < 0 ? text : text.slice(0, close)).trim()
}

export function maxNew(context: ModelContext): number {
  return context.config.eval.max_new ?? context.config.rl.max_new
}

export function seed(context: ModelContext): bigint {
  return derivedSeed(context.config.seed, 'evaluate')
}
