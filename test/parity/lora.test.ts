/** LoRA: logits with an adapter, SFT losses and gradients, five AdamW steps, against peft and torch. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  flat,
  loadAdapter,
  openModel,
  type SftItem,
  sequenceLogprobs,
  sftTrainer,
  supervised,
} from './engine.js'
import { describeReference, entries, readJson, readTensors, Tally, tensor } from './reference.js'

interface Manifest {
  readonly case: { readonly model: string }
  readonly logit_sequences: readonly (readonly number[])[]
  readonly sft_batch: readonly SftItem[]
  readonly scalars: Readonly<
    Record<string, { readonly fp64: number; readonly fp32: number; readonly grad_norm_fp64: number }>
  >
  readonly tensors: Readonly<Record<string, { readonly atol: number }>>
  readonly train: {
    readonly lr: number
    readonly betas: readonly [number, number]
    readonly eps: number
    readonly clip: number
    readonly steps: number
    readonly trajectories: Readonly<
      Record<
        string,
        {
          readonly fp64: readonly { loss: number; grad_norm: number }[]
          readonly fp32: readonly { loss: number; grad_norm: number }[]
          readonly loss_after_fp64: number
        }
      >
    >
  }
}

/** Eight times the difference that torch's own float32 run shows, at least 2e-6 of the value. */
const scalarTolerance = (fp64: number, fp32: number) =>
  Math.max(8 * Math.abs(fp64 - fp32), 2e-6 * Math.abs(fp64))

const tally = new Tally('lora')

describeReference('lora', (folder) => {
  for (const name of entries(folder, 'lora', () => true)) {
    const path = join(folder.path, 'lora', name)
    const manifest = readJson<Manifest>(path, 'manifest.json')
    const expected = readTensors(path, 'expected.safetensors')
    const modelPath = join(folder.path, 'models', manifest.case.model)

    it(`${name}: logits`, async () => {
      const model = await openModel(modelPath)
      const got = await sequenceLogprobs(
        model,
        await loadAdapter(model, path),
        manifest.logit_sequences,
        true,
      )
      manifest.logit_sequences.forEach((_, s) => {
        for (const kind of ['adapter_logits', 'merged_logits']) {
          const key = `seq${s}.${kind}`
          tally.compare(key, got.logits[s]!, tensor(expected, key), manifest.tensors[key]!.atol)
        }
      })
      tally.case()
    })

    for (const loss of ['plain', 'weighted'] as const)
      it(`${name}: ${loss} loss and gradients`, async () => {
        const model = await openModel(modelPath)
        const trainer = sftTrainer(model, await loadAdapter(model, path))
        const got = await trainer.accumulate(supervised(manifest.sft_batch, loss))
        const scalar = manifest.scalars[`loss.${loss}`]!
        tally.compare('loss', [got.loss], [scalar.fp64], scalarTolerance(scalar.fp64, scalar.fp32))
        for (const [parameter, gradient] of flat(trainer.layout(), trainer.gradients())) {
          const key = `grad.${loss}.${parameter}`
          tally.compare(key, gradient, tensor(expected, key), manifest.tensors[key]!.atol)
        }
        tally.case()
      })

    for (const [run, trajectory] of Object.entries(manifest.train.trajectories))
      it(`${name}: AdamW, ${run}`, async () => {
        const [, decay, clip] = /^wd([\d.]+?)(?:_clip([\d.]+))?$/.exec(run) ?? []
        const model = await openModel(modelPath)
        const trainer = sftTrainer(model, await loadAdapter(model, path))
        const { lr, betas, eps, steps } = manifest.train
        for (let step = 0; step < steps; step++) {
          const { loss } = await trainer.accumulate(supervised(manifest.sft_batch, 'plain'))
          const norm = await trainer.apply({
            learningRate: lr,
            beta1: betas[0],
            beta2: betas[1],
            epsilon: eps,
            weightDecay: Number(decay),
            clipNorm: clip === undefined ? manifest.train.clip : Number(clip),
          })
          const [exact, single] = [trajectory.fp64[step]!, trajectory.fp32[step]!]
          tally.compare(`loss ${step}`, [loss], [exact.loss], scalarTolerance(exact.loss, single.loss) + 1e-5)
          tally.compare(
            `norm ${step}`,
            [norm],
            [exact.grad_norm],
            scalarTolerance(exact.grad_norm, single.grad_norm) + 1e-4,
          )
        }
        let compared = 0
        for (const [parameter, values] of flat(trainer.layout(), trainer.values())) {
          const key = `final.${run}.${parameter}`
          if (!expected.has(key)) continue
          // Adam turns rounding in a near-zero gradient into a step of up to lr: single weights may be off by more.
          tally.compareShare(key, values, tensor(expected, key), manifest.tensors[key]!.atol, 0.995)
          tally.compare(key, values, tensor(expected, key), 0.05 * lr)
          compared++
        }
        if (clip === undefined) expect(compared).toBe(trainer.layout().length)
        tally.case()
      })
  }
})
