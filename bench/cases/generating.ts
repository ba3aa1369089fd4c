/** What the cases that generate share: groups of samples, and the time of decoding without its prefill. */

import { type DecodeGroup, generate, type Model, type Sample } from '../../src/engine/index.js'
import type { Timing } from '../contract.js'
import type { Subject } from '../subject.js'
import { timed } from '../timing.js'

export interface Rollouts {
  /** Texts of Subject.ids. */
  readonly prompts: number
  /** Samples of each. */
  readonly copies: number
  readonly prompt: number
  readonly new: number
  /** At temperature 1; else greedy. */
  readonly sample: boolean
}

export function groupsOf(subject: Subject, { prompts, copies, prompt }: Rollouts): DecodeGroup[] {
  return Array.from({ length: prompts }, (_, text) => ({
    prompt: subject.ids(prompt, text),
    samples: Array.from({ length: copies }, (_, copy) => ({ stream: BigInt(text * copies + copy) })),
  }))
}

export function rollOut(model: Model, subject: Subject, work: Rollouts): Promise<Sample[][]> {
  const sampling = { temperature: work.sample ? 1 : 0 }
  return generate(model, {}, groupsOf(subject, work), [{ kind: 'free', maxNew: work.new, sampling }], {
    seed: 1n,
    maxRows: work.prompts * work.copies,
  })
}

/**
 * Runs of `new` steps after the first token: a rollout of new + 1 tokens less the quickest so far of a single token, so
 * that a prompt that was disturbed makes no run look quicker than it is.
 */
export function decoding(subject: Subject, work: Rollouts): () => Promise<Timing> {
  const rows = work.prompts * work.copies
  const prompt = { seconds: Number.POSITIVE_INFINITY, cpuSeconds: Number.POSITIVE_INFINITY }
  return async () => {
    const model = await subject.model('bf16')
    const run = (count: number) =>
      timed(async () => {
        await rollOut(model, subject, { ...work, new: count })
        return 1
      })
    const [short, long] = [await run(1), await run(work.new + 1)]
    prompt.seconds = Math.min(prompt.seconds, short.seconds)
    prompt.cpuSeconds = Math.min(prompt.cpuSeconds, short.cpuSeconds)
    return {
      units: work.new * rows,
      // A first prompt that takes longer than prompt and steps together: no run takes no time.
      seconds: Math.max(long.seconds - prompt.seconds, long.seconds / 10),
      cpuSeconds: Math.max(long.cpuSeconds - prompt.cpuSeconds, long.cpuSeconds / 10),
    }
  }
}
