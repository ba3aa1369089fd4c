/**
 * Pattern Imitation: supervised learning of the kept traces, on response tokens only (spec section 4).
 *   L = -sum over the batch of lambda_t log pi(w_t | before) / (response tokens of the batch)
 * LoRA by default, every weight with sft.adapter: full. Cosine schedule, AdamW, global normaliser.
 */

import { copyFileSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Adapter, Model, requireNoGguf } from '../../engine/index.js'
import { validate } from '../prediction/validate.js'
import type { PhaseContext } from '../run/context.js'
import { imitatedModelFolder, referenceFolder } from '../run/stage-models.js'
import { derivedSeed } from '../run/streams.js'
import { cosineRate } from '../training/learning-rate.js'
import { publishFolder, Training } from '../training/training.js'
import { type BatchPlan, type Example, imitationPlan } from './examples.js'

export async function imitate(context: PhaseContext): Promise<void> {
  const { config, run, progress } = context
  if (run.isDone('imitate')) return
  const { plan, examples, direct, overlong } = imitationPlan(context)
  const full = config.sft.adapter === 'full'
  const model = full ? await trainableModel(context) : context.base
  const training = await Training.start(context, {
    phase: 'imitate',
    model,
    frozen: null,
    fresh: full ? null : () => freshAdapter(context),
    saveEvery: config.sft.save_every,
  })
  progress.start('imitate', plan.steps, 'steps')
  progress.note(
    `${examples.length - direct} traces and ${direct} answer-only examples; ${overlong} over-long dropped`,
  )
  progress.advance(training.step, 0)
  await training.guarded(async () => {
    while (training.step < plan.steps) await imitateStep(context, training, plan, model)
    await publish(context, training, model)
  })
  progress.end()
  run.finish('imitate')
}

/** A second copy of the base, whose weights will change. Its folder's texts go with them, so it must have one. */
async function trainableModel(context: PhaseContext): Promise<Model> {
  const base = context.base.dir ?? ''
  requireNoGguf(base, 'sft.adapter: full')
  const { compute } = context.config.model
  const dtype = compute === 'bf16' ? 'bf16' : 'fp32' // the master is fp32 in either
  return Model.open(base, { signal: context.signal, dtype, compute })
}

async function imitateStep(
  context: PhaseContext,
  training: Training,
  plan: BatchPlan,
  model: Model,
): Promise<void> {
  const { config, run, progress, signal } = context
  const { sft } = config
  signal.throwIfAborted()
  const step = training.step
  const batch = plan.at(step)
  const began = performance.now()
  const normaliser = batch.reduce((sum, example) => sum + example.responseTokens, 0)
  const dropout = { p: sft.dropout, seed: derivedSeed(config.seed, `dropout ${step}`) }
  const { loss, rows } = await training.trainer.accumulateSft(batch, normaliser, { signal, dropout })
  const peak = sft.lr ?? (sft.adapter === 'full' ? 2e-5 : 2e-4)
  const learningRate = cosineRate(peak, step, plan.steps, Math.ceil(sft.warmup * plan.steps), sft.final_lr)
  const { gradNorm, skipped } = await training.update(loss, {
    learningRate,
    weightDecay: sft.weight_decay,
    clipNorm: sft.clip_norm,
  })
  run.metrics({
    phase: 'imitate',
    step: step + 1,
    steps: plan.steps,
    loss,
    grad_norm: gradNorm,
    lr: learningRate,
    tokens: rows,
    tokens_per_second: rows / ((performance.now() - began) / 1000),
    ...(skipped && { skipped }),
  })
  if (sft.valid_every > 0 && (step + 1) % sft.valid_every === 0) {
    const stage = { model, adapters: training.adapter ? { trained: training.adapter } : {} }
    await validate(context, stage, {
      name: `imitate@${step + 1}`,
      after: 'imitate',
      step: step + 1,
      instances: sft.valid_instances,
    })
  }
  await training.stepDone(
    plan.steps,
    skipped,
    batch.map(({ id }: Example) => id),
  )
  progress.advance(1, rows)
}

function freshAdapter(context: PhaseContext): Promise<Adapter> {
  const { rank, alpha, rslora, dropout, targets } = context.config.sft
  return Adapter.create(
    context.base,
    { rank, alpha, rslora, dropout, targets },
    derivedSeed(context.config.seed, 'imitation adapter'),
  )
}

/** reference-adapter/ in PEFT's format, or a whole model folder after full-parameter training. */
async function publish(context: PhaseContext, training: Training, model: Model): Promise<void> {
  const base = context.base.dir ?? ''
  if (training.adapter) {
    await publishFolder(context.run.file(referenceFolder), (folder) =>
      training.adapter!.save(folder, { baseModel: base }),
    )
    return
  }
  await publishFolder(context.run.file(imitatedModelFolder), async (folder) => {
    for (const name of readdirSync(base)) {
      const isText = name.endsWith('.json') && name !== 'model.safetensors.index.json'
      const isTokenizer = name.endsWith('.jinja') || name.endsWith('.txt') || name === 'tokenizer.model'
      if ((isText || isTokenizer) && existsSync(join(base, name)))
        copyFileSync(join(base, name), join(folder, name))
    }
    await model.save(join(folder, 'model.safetensors'))
  })
}
