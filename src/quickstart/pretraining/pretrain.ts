/**
 * Pre-trains the embedded model from random weights with the project's own engine, every weight trained:
 *   npm run pretrain:quickstart -- --out FOLDER [--scale 0.1] [--threads 2]
 * Writes FOLDER/model.safetensors (bf16, what src/quickstart/model holds), model-fp32.safetensors and log.jsonl, and
 * prints the sha256 of the weights. A pure function of recipe.ts and the tokenizer: the same hash on every run on
 * one kind of machine, whatever the number of threads.
 */

import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Random, seeded } from '../../data/random.js'
import { engineInfo, Model, readModelConfig, setThreads, Trainer } from '../../engine/index.js'
import { re2 } from '../../methods/re2/index.js'
import { Encoding } from '../../phases/run/encoding.js'
import { Tokenizer } from '../../prompts/tokenizer.js'
import { catalogueDataset } from '../dataset.js'
import { embeddedModelFolder } from '../embedded.js'
import { everyTitle } from '../world.js'
import { writeBfloat16 } from './bfloat16.js'
import { Shelves } from './draws.js'
import { probeForms } from './probes.js'
import { R2RecForms } from './r2rec-forms.js'
import { Re2Forms } from './re2-forms.js'
import { initialDeviations, optimiser, pretrainingSeed, type Stage, scaled, stageRate } from './recipe.js'
import { SkillTexts } from './skills.js'
import { type WeighedText, Writer } from './writer.js'

const { values: options } = parseArgs({
  options: {
    out: { type: 'string' },
    scale: { type: 'string', default: '1' },
    threads: { type: 'string', default: '2' },
  },
})
const out = options.out
if (out === undefined) throw new Error('give --out FOLDER')
mkdirSync(out, { recursive: true })
const logFile = join(out, 'log.jsonl')
rmSync(logFile, { force: true })
const log = (line: object): void => {
  appendFileSync(logFile, `${JSON.stringify(line)}\n`)
  process.stderr.write(`${JSON.stringify(line)}\n`)
}

await setThreads(Number(options.threads))
const titles = everyTitle()
const dataset = catalogueDataset(titles)
const tokenizer = await Tokenizer.open(embeddedModelFolder())
const encoding = new Encoding(dataset, re2({ maxWords: 30, wording: 'compact' }), tokenizer)
const writer = new Writer(dataset, new Shelves(titles), encoding)
const skills = new SkillTexts(writer)
const re2Forms = new Re2Forms(writer)
const r2recForms = new R2RecForms(writer)
const model = await Model.random(readModelConfig(embeddedModelFolder()), pretrainingSeed, 1)
const trainer = await Trainer.forFullParameters(model, { tokenBudget: 4096 })
const seed = Number(pretrainingSeed)
scaleFirstWeights()
const began = performance.now()
let total = 0

log({
  isa: engineInfo().isa,
  parameters: model.parameters,
  seed,
  scale: Number(options.scale),
})
const [fp32, bf16] = [join(out, 'model-fp32.safetensors'), join(out, 'model.safetensors')]
for (const stage of scaled(Number(options.scale))) {
  await train(stage)
  await model.save(fp32)
}
writeBfloat16(fp32, bf16)
const { user, system } = process.cpuUsage()
log({
  tokens: total,
  seconds: Math.round((performance.now() - began) / 1000),
  cpu_seconds: Math.round((user + system) / 1e6),
  sha256_fp32: sha256(fp32),
  sha256: sha256(bf16),
})

/** The random model's matrices have deviation 1; norms stay 1. */
function scaleFirstWeights(): void {
  const { embedding, common, reads, writes } = initialDeviations
  const signs = seeded(seed, 'common')
  const weights = trainer.values()
  for (const { name, offset, rows, cols } of trainer.layout()) {
    if (/norm/.test(name)) continue
    const embeds = /embed_tokens/.test(name)
    const deviation = embeds ? embedding : /(o|down)_proj/.test(name) ? writes : reads
    const shift = Array.from({ length: cols }, () => (embeds ? common * (signs.below(2) ? 1 : -1) : 0))
    for (let at = 0; at < rows * cols; at++) {
      weights[offset + at] = (weights[offset + at] as number) * deviation + (shift[at % cols] as number)
    }
  }
  trainer.setValues(weights)
}

async function train(stage: Stage): Promise<void> {
  for (let step = 0; step < stage.steps; step++) {
    const random = seeded(seed, stage.name, step)
    const sequences = textsOf(stage, random)
    const learnt = sequences.reduce(
      (sum, { weights }) => sum + weights.reduce((own, weight) => own + weight, 0),
      0,
    )
    const { loss, rows } = await trainer.accumulateSft(sequences, learnt)
    const learningRate = stageRate(stage, step)
    const gradNorm = await trainer.apply({ ...optimiser, learningRate })
    total += rows
    const last = step + 1 === stage.steps
    if ((step + 1) % 50 === 0 || last) {
      log({
        stage: stage.name,
        step: step + 1,
        loss: round(loss),
        grad_norm: round(gradNorm),
        lr: learningRate,
        tokens: total,
        seconds: Math.round((performance.now() - began) / 1000),
      })
    }
    if (stage.sequences.re2 > 0 && ((step + 1) % 250 === 0 || last)) {
      const probed = await probeForms(model, writer, seeded(seed, 'probe', step), last ? 400 : 100)
      log({ probe: 'forms', step: step + 1, ...probed })
    }
  }
}

function textsOf({ sequences, skills: mixture, form }: Stage, random: Random): WeighedText[] {
  const of = (count: number, draw: () => WeighedText): WeighedText[] => Array.from({ length: count }, draw)
  return [
    ...of(sequences.skills, () => skills.draw(mixture, random)),
    ...of(sequences.re2, () => re2Forms.draw(form, random.float() < form.direct, random)),
    ...of(sequences.r2rec, () => {
      const direct = random.float() < form.direct
      return random.float() < form.rating
        ? r2recForms.rating(form, direct, random)
        : r2recForms.ranking(form, direct, random)
    }),
  ]
}

function round(value: number): number {
  return Number(value.toPrecision(5))
}

function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}
