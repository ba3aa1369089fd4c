/** Logits, next-token log-probs and entropies of every reference model, alone and packed together. */
import { join } from 'node:path'
import { it } from 'vitest'
import { openModel, sequenceLogprobs } from './engine.js'
import { describeReference, entries, readJson, readTensors, Tally, tensor } from './reference.js'

interface Manifest {
  readonly model: string
  readonly sequences: readonly (readonly number[])[]
  readonly tensors: Readonly<Record<string, { readonly atol?: number }>>
}

const tally = new Tally('forward')

describeReference('forward', (folder) => {
  for (const file of entries(folder, 'forward', (name) => name.endsWith('.json'))) {
    const manifest = readJson<Manifest>(folder.path, 'forward', file)
    const expected = readTensors(folder.path, 'forward', file.replace(/json$/, 'safetensors'))
    // The same weights may lie in several folders (sharded) under several config styles: all must agree.
    const stem = manifest.model
    for (const variant of entries(folder, 'models', (name) => name === stem || name === `${stem}-sharded`))
      for (const config of entries(folder, join('models', variant), (name) => /^config.*\.json$/.test(name)))
        it(`${variant}, ${config}`, async () => {
          const model = await openModel(join(folder.path, 'models', variant), config)
          const got = await sequenceLogprobs(model, null, manifest.sequences, true)
          manifest.sequences.forEach((_, s) => {
            const compare = (name: string, actual: ArrayLike<number>) => {
              const key = `seq${s}.${name}`
              tally.compare(key, actual, tensor(expected, key), manifest.tensors[key]?.atol ?? 1e-6)
            }
            compare('logits', got.logits[s]!)
            compare('next_logprob', got.logprobs[s]!)
            compare('entropy', got.entropies[s]!)
          })
          tally.case()
        })
  }
})
