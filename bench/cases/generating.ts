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

/** `new` steps after the first token: a rollout of new + 1 tokens less one of a single token. */
export async function decodeTiming(model: Model, subject: Subject, work: Rollouts): Promise<Timing> {
  const rows = work.prompts * work.copies
  const run = (count: number) =>
    timed(async () => {
      await rollOut(model, subject, { ...work, new: count })
      return 1
    })
  const [short, long] = [await run(1), await run(work.new + 1)]
  return {
    units: work.new * rows,
    // On a busy machine the difference may be anything; a run that seems to take no time is no shortest run.
    seconds: Math.max(long.seconds - short.seconds, long.seconds / 10),
    cpuSeconds: Math.max(long.cpuSeconds - short.cpuSeconds, long.cpuSeconds / 10),
  }
}
