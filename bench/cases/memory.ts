/**
 * memory (C12): the largest resident memory of a process that opens the model, takes an adapter and does one training
 * step, ours and the peer's, each a process of its own (VmHWM, Linux). A supervised step on mixed lengths, and a GRPO
 * update on one group.
 */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { engineInfo, ReasonrecError } from '../../src/engine/index.js'
import type { BenchCase, Measure, Prepared, Size, Timing } from '../contract.js'
import type { PeakQuestion } from '../peak-step.js'
import { computeOf, subjectOf } from '../subject.js'
import { type GroupShape, groupShapes, policyInput } from './policy-step.js'
import { type FixedRollouts, textsOf } from './training.js'

const lengths: Readonly<Record<Size, readonly number[]>> = {
  tiny: [9, 17, 40],
  quick: [128, 256, 512],
  full: [128, 192, 256, 1024],
}

export const memory: BenchCase = {
  name: 'memory',
  what: 'largest memory of a training step',
  peers: ['hf_peft_sft', 'trl_grpo'],
  goals: ['C12'],
  minutes: { tiny: 0.4, quick: 2.5, full: 4 },
  prepare: async (size): Promise<Prepared> => {
    const subject = subjectOf(size)
    const shape = groupShapes[size]
    const rollouts = plainRollouts(shape, (count, text) => subject.ids(count, text))
    const sequences = textsOf(subject, lengths[size])
    return {
      input: await policyInput(subject, shape, rollouts),
      measures: [
        {
          id: 'C12 sft',
          what: `one LoRA step, lengths ${lengths[size].join(', ')}, bf16`,
          peers: ['hf_peft_sft'],
          request: () => ({ op: 'peak-sft', sequences }),
          ...peakOf({ size, sequences }),
        },
        {
          id: 'C12 grpo',
          what: `one GRPO update, ${shape.group} completions of ${shape.length} after ${shape.prompt} tokens, bf16`,
          peers: ['trl_grpo'],
          request: () => ({ op: 'peak-update', rollouts }),
          ...peakOf({ size, rollouts }),
        },
      ],
      dispose: () => {},
    }
  },
}

/** Old log-probs of a flat distribution: memory does not depend on them. */
function plainRollouts(
  { prompt, group, length }: GroupShape,
  ids: (count: number, text?: number) => number[],
): FixedRollouts {
  const completions = Array.from({ length: group }, (_, row) => ids(length, 20 + row))
  return {
    prompt: ids(prompt),
    completions,
    advantages: completions.map((_, row) => (row % 2 === 0 ? 1 : -0.8)),
    old: completions.map((one) => one.map(() => -10)),
  }
}

const program = fileURLToPath(new URL('../peak-step.ts', import.meta.url))

function peakOf(
  question: Omit<PeakQuestion, 'threads' | 'products'>,
): Pick<Measure, 'unit' | 'roofline' | 'run'> {
  return {
    unit: 'GiB',
    roofline: null,
    run: async () => {
      const child = spawn(process.execPath, ['--import', 'tsx', program], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
      let text = ''
      child.stdout.on('data', (piece: Buffer) => {
        text += piece.toString()
      })
      child.stdin.end(
        JSON.stringify({ ...question, threads: engineInfo().threads, products: computeOf('bf16') }),
      )
      const status = await closed
      if (status !== 0)
        throw new ReasonrecError('RR_BENCH_RUN', 'the step did not end well', { got: `status ${status}` })
      return JSON.parse(text) as Timing
    },
  }
}
