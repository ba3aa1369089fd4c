/**
 * What "outputs agree" means. Ours multiplies bf16 weights by fp32 activations; a peer that computes in bf16 rounds every
 * activation to 8 bits, so log-probs of single tokens differ by some hundredths and their mean by far less. Random
 * weights give logits a deviation of about 0.6: a wrong token, position or weight shows as differences of that size.
 */

import type { AskPeer } from './contract.js'

interface Limits {
  readonly mean: number
  readonly max: number
}

export const bf16Logprobs: Limits = { mean: 0.02, max: 0.15 }

/** Of two lists of numbers; a sentence where they differ by more than the limits. */
export function differenceOf(
  what: string,
  ours: ArrayLike<number>,
  theirs: ArrayLike<number>,
  { mean, max }: Limits,
): string | null {
  if (ours.length !== theirs.length) return `${what}: ${ours.length} of ours, ${theirs.length} of the peer's`
  const gaps = Array.from(ours, (value, i) => Math.abs(value - theirs[i]!))
  const [largest, average] = [Math.max(...gaps), gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length]
  if (largest <= max && average <= mean) return null
  return `${what} differ by ${largest.toPrecision(2)} at most and ${average.toPrecision(2)} on average, accepted ${max} and ${mean}`
}

/** Relative difference of two numbers. */
export function closeTo(what: string, ours: number, theirs: number, relative: number): string | null {
  const gap = Math.abs(ours - theirs) / Math.max(Math.abs(ours), Math.abs(theirs), 1e-12)
  if (gap <= relative) return null
  return `${what}: ${ours.toPrecision(5)}, the peer's ${theirs.toPrecision(5)}`
}

/** The peer's log-probs of tokens that we sampled, against ours. */
export async function sampledAgree(
  peer: AskPeer,
  prompt: readonly number[],
  tokens: ArrayLike<number>,
  logprobs: ArrayLike<number>,
): Promise<string | null> {
  const ids = [...prompt, ...Array.from(tokens)]
  const said = (await peer({ check: 'logprobs', ids, first: prompt.length })) as {
    logprobs: readonly number[]
  }
  return differenceOf('log-probs', logprobs, said.logprobs, bf16Logprobs)
}
