/**
 * scaling: how the cost of ours grows with the prompt, the group, the number of prompts, the candidates, the length of a
 * training batch and the model, each alone, with the exponent of a fitted power and the part that the formulas of
 * roofline.ts say is largest.
 */

import {
  Adapter,
  generate,
  Model,
  type NativeModelConfig,
  parseModelConfig,
  Trainer,
} from '../../src/engine/index.js'
import type { BenchCase, Prepared, Series, Size } from '../contract.js'
import { type ModelShape, qwenHalfBillion, tinyQwen } from '../random-model.js'
import { attentionOperations, countsOf, prefillOperations, trainingOperations } from '../roofline.js'
import { loraConfig, type Subject, subjectOf } from '../subject.js'
import { timed } from '../timing.js'
import { type Rollouts, rollOut } from './generating.js'
import { groupShapes, updateOperations } from './policy-step.js'
import {
  fixedRollouts,
  optimiser,
  policyBackward,
  sftBackward,
  textsOf,
  trainedOf,
  trainerOf,
} from './training.js'

interface Sizes {
  readonly prompts: readonly number[]
  readonly groups: readonly number[]
  readonly rollouts: readonly number[]
  readonly candidates: readonly number[]
  readonly lengths: readonly number[]
  /** Of everything that is not the x of a series. */
  readonly prompt: number
  readonly new: number
}

const sizes: Readonly<Record<Size, Sizes>> = {
  tiny: {
    prompts: [8, 16],
    groups: [1, 2],
    rollouts: [1, 2],
    candidates: [2, 4],
    lengths: [8, 16],
    prompt: 12,
    new: 3,
  },
  quick: {
    prompts: [128, 256, 512, 1024],
    groups: [1, 4, 16],
    rollouts: [1, 2, 4],
    candidates: [5, 20, 80],
    lengths: [128, 256, 512],
    prompt: 256,
    new: 8,
  },
  full: {
    prompts: [128, 256, 512, 1024, 2048, 4096],
    groups: [1, 2, 4, 8, 16, 32],
    rollouts: [1, 2, 4, 8],
    candidates: [5, 10, 20, 40, 80, 160],
    lengths: [128, 256, 512, 1024, 2048],
    prompt: 256,
    new: 16,
  },
}

export const scaling: BenchCase = {
  name: 'scaling',
  what: 'how cost grows',
  peers: [],
  minutes: { tiny: 0.2, quick: 3, full: 12 },
  prepare: async (size): Promise<Prepared> => {
    const subject = subjectOf(size)
    const sized = sizes[size]
    await subject.model('bf16')
    return {
      input: {},
      measures: [],
      series: [
        promptLength(subject, sized),
        groupSize(subject, sized),
        rollouts(subject, sized),
        candidates(subject, sized),
        textLength(subject, sized),
        updateGroup(subject, sized, size),
        modelSize(size),
      ],
      dispose: () => {},
    }
  },
}

function rollingOut(subject: Subject, work: Rollouts): Series['points'][number]['run'] {
  return async () => {
    const model = await subject.model('bf16')
    return timed(async () => {
      await rollOut(model, subject, work)
      return 1
    })
  }
}

function promptLength(subject: Subject, { prompts }: Sizes): Series {
  return {
    id: 'prompt length',
    what: 'one token after a prompt',
    x: 'tokens of the prompt',
    points: prompts.map((prompt) => ({
      x: prompt,
      run: rollingOut(subject, { prompts: 1, copies: 1, prompt, new: 1, sample: true }),
      parts: { ...prefillOperations(subject.config, prompt, 0, 1) },
    })),
  }
}

/** Operations of rollouts: the prompts once, then every row. */
function rolloutParts({ config }: Subject, { prompts, copies, prompt, new: length }: Rollouts) {
  const { body, head } = countsOf(config)
  const rows = prompts * copies
  const first = prefillOperations(config, prompt, 0, 1)
  return {
    'layers of the prompts': prompts * first.layers,
    'layers of the samples': 2 * body * rows * length,
    'head of the samples': 2 * head * rows * length,
    attention: prompts * first.attention + rows * attentionOperations(config, length, prompt),
  }
}

function groupSize(subject: Subject, { groups, prompt, new: length }: Sizes): Series {
  return {
    id: 'group size',
    what: `samples of ${length} tokens after one prompt of ${prompt}`,
    x: 'samples',
    points: groups.map((copies) => {
      const work = { prompts: 1, copies, prompt, new: length, sample: true }
      return { x: copies, run: rollingOut(subject, work), parts: rolloutParts(subject, work) }
    }),
  }
}

function rollouts(subject: Subject, { rollouts: counts, prompt, new: length }: Sizes): Series {
  return {
    id: 'rollouts',
    what: `four samples of ${length} tokens after each prompt of ${prompt}`,
    x: 'prompts',
    points: counts.map((prompts) => {
      const work = { prompts, copies: 4, prompt, new: length, sample: true }
      return { x: prompts, run: rollingOut(subject, work), parts: rolloutParts(subject, work) }
    }),
  }
}

function candidates(subject: Subject, { candidates: counts, prompt }: Sizes): Series {
  const title = 8
  const { body, head } = countsOf(subject.config)
  const ids = subject.ids(prompt)
  return {
    id: 'candidates',
    what: `titles of ${title} tokens scored after one history of ${prompt}`,
    x: 'titles',
    points: counts.map((count) => {
      const group = {
        prompt: ids,
        samples: [{ stream: 0n }],
        candidates: Array.from({ length: count }, (_, index) => subject.ids(title, 10 + index)),
      }
      const first = prefillOperations(subject.config, prompt, 0, 0)
      return {
        x: count,
        run: async () => {
          const model = await subject.model('bf16')
          return timed(async () => {
            await generate(model, {}, [group], [], { seed: 1n, maxRows: count })
            return 1
          })
        },
        parts: {
          'layers of the history': first.layers,
          'layers of the titles': 2 * body * count * title,
          'head of the titles': 2 * head * count * title,
          attention: first.attention + count * attentionOperations(subject.config, title, prompt),
        },
      }
    }),
  }
}

function textLength(subject: Subject, { lengths }: Sizes): Series {
  return {
    id: 'text length',
    what: 'a supervised LoRA step on one text',
    x: 'tokens of the text',
    points: lengths.map((length) => {
      const texts = textsOf(subject, [length])
      const attention = attentionOperations(subject.config, length, 0)
      return {
        x: length,
        run: async () => {
          const trainer = await trainerOf(subject, await subject.model('bf16'))
          return timed(async () => {
            await sftBackward(trainer, texts)
            await trainer.apply(optimiser)
            return 1
          })
        },
        parts: { ...trainingOperations(subject.config, length, trainedOf(texts), attention) },
      }
    }),
  }
}

function updateGroup(subject: Subject, { groups, prompt }: Sizes, size: Size): Series {
  const length = Math.min(32, groupShapes[size].length)
  return {
    id: 'update group',
    what: `a GRPO update on completions of ${length} tokens after one prompt of ${prompt}`,
    x: 'completions',
    points: groups.map((group) => {
      const shape = { prompt, length, group }
      return {
        x: group,
        run: async () => {
          const trainer = await trainerOf(subject, await subject.model('bf16'))
          const fixed = await fixedRollouts(subject, trainer, shape)
          return timed(async () => {
            await policyBackward(trainer, fixed)
            await trainer.apply(optimiser)
            return 1
          })
        },
        parts: { ...updateOperations(subject, shape) },
      }
    }),
  }
}

/** Widths that keep the family's proportions; the vocabulary stays, as it does in the family. */
function shapesOf(size: Size): readonly ModelShape[] {
  if (size === 'tiny') return [tinyQwen, { ...tinyQwen, hidden_size: 128, intermediate_size: 256 }]
  const scaled = (width: number, layers: number): ModelShape => ({
    ...qwenHalfBillion,
    hidden_size: width,
    intermediate_size: Math.round((width * 4864) / 896 / 32) * 32,
    num_hidden_layers: layers,
    num_attention_heads: width / 64,
    num_key_value_heads: width / 64 / 2,
    vocab_size: 32_768,
  })
  return [scaled(128, 4), scaled(256, 8), scaled(512, 12), scaled(896, 24)]
}

function modelSize(size: Size): Series {
  const length = size === 'tiny' ? 16 : 128
  const points = shapesOf(size).map((shape) => {
    const config: NativeModelConfig = parseModelConfig(shape, 'shape')
    const { body, head } = countsOf(config)
    let started: Promise<Trainer> | null = null
    const start = async (): Promise<Trainer> => {
      const model = await Model.random(config, 1n, 0.02, 'bf16')
      const adapter = await Adapter.create(model, loraConfig, 1n)
      return Trainer.forAdapter(model, { adapter, tokenBudget: 4096 })
    }
    const ids = Array.from({ length }, (_, i) => (i * 7919 + 13) % config.vocab)
    const texts = [{ ids, first: length - (length >> 2) }]
    return {
      x: (body + head) / 1e6,
      run: async () => {
        started ??= start()
        const trainer = await started
        return timed(async () => {
          await sftBackward(trainer, texts)
          await trainer.apply(optimiser)
          return 1
        })
      },
      parts: {
        ...trainingOperations(config, length, trainedOf(texts), attentionOperations(config, length, 0)),
      },
    }
  })
  return {
    id: 'model size',
    what: `a supervised LoRA step on one text of ${length} tokens, random models of one family`,
    x: 'million weights',
    points,
  }
}
