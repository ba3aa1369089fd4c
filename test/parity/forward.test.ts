/** Logits, next-token log-probs and entropies of every reference model, alone and packed together. */
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { openModel, sequenceLogprobs } from './engine.js'
import { entries, folders, readJson, readTensors, Tally, tensor } from './reference.js'

interface Manifest {
  readonly model: string
  readonly sequences: readonly (readonly number[])[]
  readonly tensors: Readonly<Record<string, { readonly atol?: number }>>
}

const tally = new Tally('forward')

for (const folder of folders()) {
  const manifests = entries(folder, 'forward', (name) => name.endsWith('.json'))
  describe(`forward, ${folder.name}`, () => {
    for (const file of manifests) {
      const manifest = readJson<Manifest>(folder.path, 'forward', file)
      const expected = readTensors(folder.path, 'forward', file.replace(/json$/, 'safetensors'))
      // The same weights may lie in several folders (sharded, other config styles): all must agree.
      const stem = manifest.model
      const variants = entries(folder, 'models', (name) => name === stem || name === `${stem}-sharded`)
      for (const variant of variants) {
        const configs = entries(folder, join('models', variant), (name) => /^config.*\.json$/.test(name))
        for (const config of configs)
          it(`${variant}, ${config}`, async () => {
            const model = await openModel(join(folder.path, 'models', variant), config)
            const got = await sequenceLogprobs(model, null, manifest.sequences, true)
            manifest.sequences.forEach((_, s) => {
              const atol = (name: string) => manifest.tensors[`seq${s}.${name}`]?.atol ?? 1e-6
              tally.compare(`seq${s}.logits`, got.logits[s]!, tensor(expected, `seq${s}.logits`), atol('logits'))
              tally.compare(
                `seq${s}.next_logprob`,
                got.logprobs[s]!,
                tensor(expected, `seq${s}.next_logprob`),
                atol('next_logprob'),
              )
              tally.compare(`seq${s}.entropy`, got.entropies[s]!, tensor(expected, `seq${s}.entropy`), atol('entropy'))
            })
            tally.case()
          })
      }
    }
  })
}
